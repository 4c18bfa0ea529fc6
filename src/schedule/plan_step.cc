// Scheduler::plan_step(): what the next step computes, decided on a scratch copy and then committed.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {
// Its reader is slow; http cuts the reader off if that lasts.
bool Scheduler::waits_for_reader(SlotIndex slot) {
  if (gateway_->has_room(slot)) return false;
  ++waiting_for_readers_;
  return true;
}

void Scheduler::plan_step(Micros now, Step* step) {
  now_ = now;
  waiting_for_readers_ = 0;
  step->clear();
  const int lifted = waiting_.lift(now, options_.ageing_us);
  if (lifted > 0) gateway_->load().lifts.fetch_add(static_cast<uint64_t>(lifted), std::memory_order_relaxed);
  foresee(now);
  scratch_.begin();
  giving_way_.clear();
  starts_.clear();
  vacate_places();
  plan_decodes();
  plan_starts(now);
  plan_chunks();
  plan_drafts();
  commit_plan(now, step);
}

// Decodes before prefill chunks: a long prompt delays nobody's next token by more than one step.
void Scheduler::plan_decodes() {
  int32_t budget = step_tokens_limit_;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = at(running_[i]);
    if (sequence.gives_way || sequence.pending() != 1) continue;
    if (waits_for_reader(running_[i])) {
      gateway_->load().ring_stalls.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (budget == 0 || !plan_room(i)) continue;
    sequence.planned_tokens = 1;
    --budget;
  }
}

// Plans blocks for the next token of running_[index], preempting newer sequences while none can be had. Those before
// it have their blocks already and are not asked.
// RETURNS: false when the sequence itself gives way.
bool Scheduler::plan_room(size_t index) {
  const SlotIndex slot = running_[index];
  const Sequence& sequence = at(slot);
  const int32_t table_row = row(sequence.place);
  const int32_t cell = sequence.kv_tokens / pool_->options().block_tokens;
  const int64_t want = pool_->blocks_for(sequence.total());
  if (want > pool_->options().blocks_per_sequence_max) return give_way(slot, FinishReason::kLength), false;
  for (;;) {
    const bool copies = cell < scratch_.length(table_row) && scratch_.is_shared(table_row, cell);
    const int64_t more = std::max<int64_t>(0, want - scratch_.length(table_row)) + copies;
    if (more > 0 && !make_room_in_share(index, more)) return false;
    if (more <= scratch_.obtainable_blocks()) {
      WEIR_CHECK(scratch_.grow(table_row, sequence.total()) == Grow::kOk);
      WEIR_CHECK(!copies || scratch_.make_writable(table_row, cell));
      return true;
    }
    size_t victim = running_.size();
    while (victim > index && (at(running_[victim - 1]).gives_way || at(running_[victim - 1]).spec->guaranteed)) --victim;
    if (victim > index + 1) {
      give_way(running_[victim - 1], FinishReason::kNone);
      continue;
    }
    WEIR_CHECK_MSG(victim == index + 1, "a guaranteed sequence has all its blocks");
    // Alone, it has outgrown the pool, unless that is smaller than it should be for a while.
    const bool alone = running_.size() - giving_way_.size() == 1;
    give_way(slot, !alone ? FinishReason::kNone : squeezed_ ? FinishReason::kMemoryPressure : FinishReason::kLength);
    return false;
  }
}

// Where its tenant has all of the pool that it may, the tenant's newest gives way.
// RETURNS: false when that is the sequence itself.
bool Scheduler::make_room_in_share(size_t index, int64_t more) {
  const Sequence& sequence = at(running_[index]);
  const int64_t share = share_blocks(sequence);
  if (share >= pool_->total_blocks()) return true;
  while (held_by_tenant(sequence) + more > share) {
    int others = 0;
    size_t newest = index;
    for (size_t i = 0; i < running_.size(); ++i) {
      const Sequence& other = at(running_[i]);
      if (i == index || other.tenant != sequence.tenant || other.gives_way) continue;
      ++others;
      if (i > newest && !other.spec->guaranteed) newest = i;
    }
    give_way(running_[newest], newest == index && others == 0 ? FinishReason::kLength : FinishReason::kNone);
    if (newest == index) return false;
  }
  return true;
}

void Scheduler::give_way(SlotIndex slot, FinishReason reason, bool for_place) {
  Sequence& sequence = at(slot);
  sequence.gives_way = true;
  scratch_.release(row(sequence.place));
  giving_way_.push_back({slot, reason, for_place});
}

void Scheduler::plan_chunks() {
  int32_t budget = step_tokens_limit_;
  for (const SlotIndex slot : running_) budget -= at(slot).planned_tokens;
  budget = static_cast<int32_t>(prefill_budget(budget));
  for (const SlotIndex slot : running_) {
    Sequence& sequence = at(slot);
    if (sequence.gives_way || sequence.pending() <= 1) continue;
    // A chunk that ends the prompt samples, so it too needs room for its token.
    const bool blocked = waits_for_reader(slot);
    sequence.planned_tokens = blocked ? 0 : std::min(sequence.pending(), budget);
    budget -= sequence.planned_tokens;
  }
  for (const Start& start : starts_) {
    Sequence& sequence = at(start.slot);
    // One that was preempted while its reader was slow may come back to a ring that is still full.
    const bool blocked = !sequence.fresh() && waits_for_reader(start.slot);
    sequence.planned_tokens = blocked ? 0 : std::min(sequence.total() - start.shared_tokens, budget);
    budget -= sequence.planned_tokens;
  }
}

void Scheduler::commit_plan(Micros now, Step* step) {
  scratch_.commit(&step->copies);
  gateway_->load().block_copies.fetch_add(step->copies.size(), std::memory_order_relaxed);
  for (const GivingWay& one : giving_way_) {
    const bool ran = at(one.slot).stage == SequenceStage::kRunning;
    at(one.slot).gives_way = false;
    at(one.slot).planned_tokens = at(one.slot).planned_drafts = 0;
    if (ran) {
      auto& counter = one.for_place ? gateway_->load().place_preemptions : gateway_->load().overflows;
      counter.fetch_add(1, std::memory_order_relaxed);
    }
    if (one.reason == FinishReason::kNone) {
      preempt(one.slot, now);
    } else {
      finish(one.slot, one.reason, now);
    }
  }
  for (const Start& one : starts_) start(one, now);
  for (const SlotIndex slot : running_) {
    if (at(slot).planned_tokens > 0) add_to_step(slot, step);
  }
}

// The queue has let go of it already, in the class that it had by then.
void Scheduler::start(const Start& start, Micros now) {
  Sequence& sequence = at(start.slot);
  LoadGauges& load = gateway_->load();
  leave_queue(sequence);
  sequence.class_now = waiting_.item(start.slot).class_index;
  sequence.waited_us = now - waiting_.item(start.slot).since;
  say(start.slot, WaitReason::kNone);
  const auto known = static_cast<uint64_t>(sequence.total());
  if (sequence.fresh()) {
    WEIR_CHECK(free_places_.back() == start.place);
    free_places_.pop_back();
    sequence.place = start.place;
    placed_prompt_tokens_ += sequence.prompt_tokens;
    std::copy(sequence.spec->prompt.begin(), sequence.spec->prompt.end(), history(sequence.place).begin());
    Channel& channel = gateway_->channel(start.slot);
    channel.ring = &gateway_->ring(sequence.place);
    channel.ring->reset();
    channel.cached_tokens = start.shared_tokens;
    channel.started_us = now;
    deadlines_.set(start.slot, time_up(sequence));
    start_forecast_.started(sequence.told, now);
    speculation_.begin(sequence.place);
    load.started_sequences.fetch_add(1, std::memory_order_relaxed);
    load.prefix_lookup_tokens.fetch_add(known, std::memory_order_relaxed);
    load.prefix_hit_tokens.fetch_add(static_cast<uint64_t>(start.shared_tokens), std::memory_order_relaxed);
  }
  load.recomputed_tokens.fetch_add(static_cast<uint64_t>(std::max(0, sequence.lost_tokens - start.shared_tokens)),
                                   std::memory_order_relaxed);
  sequence.lost_tokens = 0;
  sequence.stage = SequenceStage::kRunning;
  sequence.kv_tokens = start.shared_tokens;
  sequence.shared_blocks = start.shared_tokens / pool_->options().block_tokens;
  sequence.published_blocks = sequence.shared_blocks;
  const auto shared = pool_->row_blocks(row(sequence.place)).first(static_cast<size_t>(sequence.shared_blocks));
  const bool all_known = std::all_of(shared.begin(), shared.end(), [this](int32_t block) { return pool_->is_kept(block); });
  sequence.can_publish = all_known;
  if (prefix_ != nullptr && all_known) prefix_->count_use(shared);
  running_.insert(std::upper_bound(running_.begin(), running_.end(), start.slot,
                                   [this](SlotIndex a, SlotIndex b) { return at(a).class_now < at(b).class_now; }),
                  start.slot);
  ++tenant_running_[static_cast<size_t>(sequence.tenant)];
  gauges(sequence).running.fetch_add(1, std::memory_order_relaxed);
}

void Scheduler::add_to_step(SlotIndex slot, Step* step) {
  const Sequence& sequence = at(slot);
  const int32_t count = sequence.planned_tokens;
  const auto text = history(sequence.place);
  const auto known = static_cast<size_t>(sequence.total()), prompt = static_cast<size_t>(sequence.prompt_tokens);
  const auto step_row = static_cast<int32_t>(step->sequences.size());
  step->sequences.push_back({
      .slot = slot,
      .place = sequence.place,
      .token_begin = static_cast<int32_t>(step->tokens.size()),
      .token_count = count,
      .position_begin = sequence.kv_tokens,
      .samples = sequence.kv_tokens + count - sequence.planned_drafts == sequence.total(),
      .params = &sequence.spec->params,
      .prompt = text.first(prompt),
      .output = text.subspan(prompt, known - prompt),
      .drafts = text.subspan(known, static_cast<size_t>(sequence.planned_drafts)),
      .blocks = tables_[static_cast<size_t>(sequence.place)].blocks(),
      .choice_index = sequence.choice_index,
  });
  for (int32_t i = 0; i < count; ++i) {
    step->tokens.push_back(text[static_cast<size_t>(sequence.kv_tokens + i)]);
    step->positions.push_back(sequence.kv_tokens + i);
    step->rows.push_back(step_row);
  }
}

}  // namespace weir
