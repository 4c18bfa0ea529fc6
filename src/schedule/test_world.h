// A Scheduler with the engine's half and the io's half in one thread, for this room's tests. The fake model keeps a
// fake KV memory: each position holds a hash of the text up to it. Every step checks that what a sequence would attend
// to is the KV of its own text, whoever computed it and wherever it was copied or moved.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "schedule/scheduler.h"

namespace weir::testing_world {

constexpr int32_t kEos = 99;

struct Shape {
  int running = 2, queued = 4;
  int64_t blocks = 8;
  int block_tokens = 4;
  int64_t session = 32;
  int step_tokens = 8;
  bool prefix = false;
  int64_t blocks_max = 0;  // 0: blocks
  int parked = 0;
  std::vector<ClassKind> classes = {ClassKind::kStandard};
  Micros ageing_us = 30'000'000;
  Micros codel_target_us = 0, tpot_slo_us = 0;
  int prefill_stretch = 0;
  SpeculationOptions speculation;
  int places() const { return running + parked; }
};

inline BlockPoolOptions pool_options(const Shape& s) {
  const int64_t most = std::max(s.blocks, s.blocks_max);
  const int64_t row = std::min<int64_t>((s.session + s.block_tokens - 1) / s.block_tokens, most);
  return {.blocks = static_cast<int32_t>(s.blocks), .blocks_max = static_cast<int32_t>(most), .block_tokens = s.block_tokens, .sequences_max = s.places(),
          .blocks_per_sequence_max = static_cast<int32_t>(row)};
}

// The engine's half and the io's half in one thread, with a fake model that emits what `next_token` says.
struct World {
  Shape shape;
  int slots;
  Gateway gateway;
  std::unique_ptr<PrefixCache> prefix;
  BlockPool pool;
  std::vector<int32_t> histories;
  Scheduler scheduler;
  Step step;
  Micros now = 1, took = 1000;  // took: the last turn
  std::map<SlotIndex, RequestSpec> specs;
  std::map<SlotIndex, std::vector<int32_t>> outputs;
  std::map<SlotIndex, FinishReason> ended;
  std::function<int32_t(const StepSequence&)> next_token = [](const StepSequence&) { return 7; };
  std::function<bool(const StepSequence&)> fails = [](const StepSequence&) { return false; };
  std::function<Micros(const Step&)> step_us = [](const Step&) { return Micros{1000}; };
  std::function<Micros(const Step&)>
      work_us;  // of it, without the time that others had the processor; empty: all of it
  // With drafts: the token after so many of them, too. Given, it is asked instead of next_token.
  std::function<int32_t(const StepSequence&, int32_t accepted)> token_after;
  bool read_rings = true;
  std::vector<std::vector<uint64_t>> kv;  // [block][position in it]
  int64_t computed_tokens = 0;

  explicit World(Shape s)
      : shape(s),
        slots(s.running + s.queued),
        gateway(slots, s.places(), 1, 8),
        prefix(s.prefix ? std::make_unique<PrefixCache>(PrefixCacheOptions{
                              .blocks_max = static_cast<int32_t>(std::max(s.blocks, s.blocks_max)),
                              .block_tokens = s.block_tokens})
                        : nullptr),
        pool(pool_options(s), prefix.get()),
        histories(static_cast<size_t>(s.places() * s.session)),
        scheduler({.slots = slots, .running_max = s.running, .step_tokens_max = s.step_tokens,
                   .session_tokens = s.session, .eos_ids = {kEos}, .classes = s.classes,
                   .parked_max = s.parked, .tenants = 64, .ageing_us = s.ageing_us,
                   .codel_target_us = s.codel_target_us, .tpot_slo_us = s.tpot_slo_us, .prefill_stretch = s.prefill_stretch, .speculation = s.speculation},
                  &pool, prefix.get(), &gateway, histories) {
    step.reserve(s.step_tokens, s.running);
    kv.resize(static_cast<size_t>(pool.options().blocks_max), std::vector<uint64_t>(static_cast<size_t>(s.block_tokens)));
  }

  void submit(SlotIndex slot, int prompt, int max_tokens, Micros queue_deadline = 0) {
    RequestSpec spec;
    for (int i = 0; i < prompt; ++i) spec.prompt.push_back(i % 50);
    spec.params.max_tokens = max_tokens;
    spec.queue_deadline_us = queue_deadline;
    submit(slot, std::move(spec));
  }
  void submit(SlotIndex slot, RequestSpec spec) {
    specs[slot] = std::move(spec);
    submit_choice(slot, slot, 0);
  }
  // A further choice of the request that was submitted in `owner`.
  void submit_choice(SlotIndex slot, SlotIndex owner, int choice) {
    outputs[slot].clear();
    ended.erase(slot);
    gateway.channel(slot).spec = &specs[owner];
    gateway.channel(slot).choice_index = choice;
    scheduler.on_command({Command::Kind::kSubmit, slot}, now);
  }
  void cancel(SlotIndex slot) { scheduler.on_command({Command::Kind::kCancel, slot}, now); }
  void release(SlotIndex slot) { scheduler.on_command({Command::Kind::kRelease, slot}, now); }

  // RETURNS: tokens in the step; 0 when there was nothing to do.
  int turn() {
    now += took;
    scheduler.expire(now);
    scheduler.plan_step(now, &step);
    scheduler.check_invariants();
    EXPECT_LE(step.tokens.size(), static_cast<size_t>(shape.step_tokens));
    std::vector<StepResult> results(step.sequences.size());
    std::vector<TokenEvent> events(step.tokens.size());
    lend_room(step, results, events);
    compute();
    for (size_t i = 0; i < results.size(); ++i) {
      const StepSequence& part = step.sequences[i];
      sample_with_drafts(part, [&](int32_t accepted, TokenEvent* out) {
        out->token = token_after ? token_after(part, accepted) : next_token(part);
        return true;
      }, &results[i]);
      results[i].ok = !fails(part);
    }
    took = step.empty() ? 1000 : step_us(step);
    scheduler.commit(step, results, now + took);
    if (!step.empty()) scheduler.note_step(step, {.wall_us = took, .work_us = work_us ? work_us(step) : took});
    scheduler.check_invariants();
    scheduler.publish_load();
    collect();
    return static_cast<int>(step.tokens.size());
  }

  static uint64_t text_hash(uint64_t before, int32_t token) {
    return (before ^ static_cast<uint64_t>(token + 1)) * 0x9e3779b97f4a7c15ull + 1;
  }
  void copy(const BlockCopies& copies) {
    for (const BlockCopy& one : copies) kv.at(static_cast<size_t>(one.to)) = kv.at(static_cast<size_t>(one.from));
  }
  uint64_t& kv_at(const StepSequence& s, int64_t position) {
    return kv.at(static_cast<size_t>(s.blocks[static_cast<size_t>(position / shape.block_tokens)]))
        .at(static_cast<size_t>(position % shape.block_tokens));
  }
  // All writes of a step, then all reads, as the layers of a model do.
  void compute() {
    copy(step.copies);
    std::set<const uint64_t*> written;
    for (const StepSequence& s : step.sequences) {
      uint64_t hash = 0;
      for (int64_t p = 0; p < s.position_begin + s.token_count; ++p) {
        hash = text_hash(hash, token_at(s, p));
        if (p < s.position_begin) continue;
        kv_at(s, p) = hash;
        EXPECT_TRUE(written.insert(&kv_at(s, p)).second) << "two sequences write one place";
        ++computed_tokens;
      }
    }
    for (const StepSequence& s : step.sequences) {
      uint64_t hash = 0;
      for (int64_t p = 0; p < s.position_begin + s.token_count; ++p) {
        hash = text_hash(hash, token_at(s, p));
        ASSERT_EQ(kv_at(s, p), hash) << "slot " << s.slot << " attends to another text at position " << p;
      }
    }
  }
  static int32_t token_at(const StepSequence& s, int64_t position) {
    const auto prompt = static_cast<int64_t>(s.prompt.size()), known = prompt + static_cast<int64_t>(s.output.size());
    if (position >= known) return s.drafts[static_cast<size_t>(position - known)];
    return position < prompt ? s.prompt[static_cast<size_t>(position)] : s.output[static_cast<size_t>(position - prompt)];
  }

  void collect() {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      Channel& channel = gateway.channel(notice.slot);
      TokenEvent event;
      while ((read_rings || notice.finish != FinishReason::kNone) && channel.ring && channel.ring->try_pop(&event)) {
        outputs[notice.slot].push_back(event.token);
      }
      if (notice.finish == FinishReason::kNone) continue;
      EXPECT_FALSE(ended.count(notice.slot)) << "slot " << notice.slot << " ended twice";
      ended[notice.slot] = notice.finish;
      channel.ring = nullptr;
    }
  }
  void run_until_idle(int turns_max = 10000) {
    while (turn() > 0) ASSERT_GT(--turns_max, 0) << "it never ends";
  }
};

}  // namespace weir::testing_world
