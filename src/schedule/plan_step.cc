// Scheduler::plan_step(): what the next step computes, decided on a scratch copy and then committed.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {
void Scheduler::plan_step(Micros now, Step* step) {
  step->clear();
  scratch_.begin();
  giving_way_.clear();
  starts_.clear();
  plan_decodes();
  plan_starts();
  plan_chunks();
  commit_plan(now, step);
}

// Decodes before prefill chunks: a long prompt delays nobody's next token by more than one step.
void Scheduler::plan_decodes() {
  int32_t budget = step_tokens_limit_;
  for (size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = at(running_[i]);
    if (sequence.gives_way || sequence.pending() != 1) continue;
    if (gateway_->channel(running_[i]).ring->room() == 0) {  // its reader is slow; http cuts it off if that lasts
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

void Scheduler::give_way(SlotIndex slot, FinishReason reason) {
  Sequence& sequence = at(slot);
  sequence.gives_way = true;
  scratch_.release(row(sequence.place));
  giving_way_.push_back({slot, reason});
}

void Scheduler::plan_starts() {
  head_blocked_ = false;
  if (!giving_way_.empty()) {
    head_blocked_ = true;
    return;
  }
  int looked_at = 0;
  size_t places_used = 0;
  const auto placed = options_.running_max - static_cast<int>(free_places_.size());
  for (SlotIndex slot = waiting_.front(); slot != WaitingList::kNone; slot = waiting_.after(slot)) {
    const Sequence& sequence = at(slot);
    if (++looked_at > kLookAhead) return;
    const bool no_place = places_used == free_places_.size() || placed + static_cast<int>(places_used) >= running_limit_;
    if (sequence.fresh() && no_place) return;
    const int32_t place = sequence.fresh() ? free_places_[free_places_.size() - 1 - places_used] : sequence.place;
    switch (consider(slot, place)) {
      case Verdict::kStarts:
        places_used += sequence.fresh();
        break;
      case Verdict::kWaitsForPrefix: break;
      case Verdict::kBlocked:
        head_blocked_ = true;
        return;
      case Verdict::kNever:  // the pool was made smaller than what it has become
        giving_way_.push_back({slot, sequence.output_tokens > 0 ? FinishReason::kLength : FinishReason::kMemoryPressure});
        break;
    }
  }
}

Scheduler::Verdict Scheduler::consider(SlotIndex slot, int32_t place) {
  Sequence& sequence = at(slot);
  const int64_t needs_alone = pool_->blocks_for(std::max(int64_t{sequence.total()} + 1, reserve_tokens(sequence)));
  if (!squeezed_ && needs_alone > pool_->total_blocks()) return Verdict::kNever;
  const Sharing sharing = find_shared(slot);
  if (sharing.wait) {
    if (!sequence.waited_for_prefix) gateway_->load().prefix_waits.fetch_add(1, std::memory_order_relaxed);
    sequence.waited_for_prefix = true;
    return Verdict::kWaitsForPrefix;
  }
  const int64_t to_tokens = reserve_tokens(sequence);
  if (!fits(sequence, sharing, to_tokens)) return Verdict::kBlocked;
  const auto shared = std::span<const int32_t>(match_).first(static_cast<size_t>(sharing.blocks));
  if (!scratch_.adopt(row(place), shared)) return Verdict::kBlocked;
  WEIR_CHECK(scratch_.grow(row(place), to_tokens) == Grow::kOk);
  const bool partial = sharing.tokens % pool_->options().block_tokens != 0;
  if (partial) WEIR_CHECK(scratch_.make_writable(row(place), sharing.blocks - 1));
  starts_.push_back({slot, place, sharing.blocks, sharing.tokens});
  return Verdict::kStarts;
}

// All blocks of the known text at once, so that two half-prefilled prompts cannot starve each other; with a
// guarantee, of the answer too.
int64_t Scheduler::reserve_tokens(const Sequence& sequence) const {
  if (!sequence.spec->guaranteed) return sequence.total();
  return std::min(options_.session_tokens, int64_t{sequence.prompt_tokens} + sequence.spec->params.max_tokens);
}

Scheduler::Sharing Scheduler::find_shared(SlotIndex slot) {
  const Sequence& sequence = at(slot);
  Sharing sharing;
  if (sibling_of(slot, &sharing) || prefix_ == nullptr) return sharing;
  // The last token is always computed: its logits are wanted.
  const auto text = text_of(sequence).first(static_cast<size_t>(sequence.total() - 1));
  sharing.blocks = prefix_->match(text, match_);
  sharing.tokens = sharing.blocks * pool_->options().block_tokens;
  sharing.wait = another_computes(sequence, sharing.blocks);
  return sharing;
}

// Another choice of the same request that runs: its prompt is ours, down to the last token, which we compute again
// for its logits. A guaranteed one keeps its partial block to itself: it must never need another.
// RETURNS: false when there is none.
bool Scheduler::sibling_of(SlotIndex slot, Sharing* sharing) {
  const Sequence& sequence = at(slot);
  if (sequence.output_tokens > 0) return false;
  for (const SlotIndex other_slot : running_) {
    const Sequence& other = at(other_slot);
    if (other.spec != sequence.spec || other.gives_way) continue;
    const int32_t wanted = sequence.prompt_tokens - 1;
    const int32_t size = pool_->options().block_tokens;
    if (other.kv_tokens < sequence.prompt_tokens) {
      sharing->wait = true;
      return true;
    }
    sharing->blocks = other.spec->guaranteed ? wanted / size : (wanted + size - 1) / size;
    sharing->tokens = std::min(sharing->blocks * size, wanted);
    const auto blocks = pool_->row_blocks(row(other.place)).first(static_cast<size_t>(sharing->blocks));
    std::copy(blocks.begin(), blocks.end(), match_.begin());
    return true;
  }
  for (const Start& start : starts_) {
    if (at(start.slot).spec != sequence.spec) continue;
    sharing->wait = true;
    return true;
  }
  return false;
}

// Whether a sequence that runs, or starts in this plan, is about to compute whole blocks of this text beyond those
// that are known. It is worth waiting for.
bool Scheduler::another_computes(const Sequence& sequence, int32_t known_blocks) const {
  const auto size = static_cast<size_t>(pool_->options().block_tokens);
  const auto text = text_of(sequence);
  const size_t wanted = (static_cast<size_t>(known_blocks) + 1) * size;
  if (wanted > text.size() - 1) return false;
  const auto computes = [&](const Sequence& other, size_t done_tokens) {
    const auto theirs = text_of(other);
    if (theirs.size() < wanted || done_tokens >= wanted || !other.can_publish) return false;
    // From the back: texts that differ mostly differ in their last block.
    return std::equal(text.rend() - static_cast<ptrdiff_t>(wanted), text.rend(),
                      theirs.rend() - static_cast<ptrdiff_t>(wanted));
  };
  for (const SlotIndex slot : running_) {
    const Sequence& other = at(slot);
    if (!other.gives_way && other.pending() > 1 && computes(other, static_cast<size_t>(other.kv_tokens))) return true;
  }
  return std::any_of(starts_.begin(), starts_.end(), [&](const Start& start) {
    return computes(at(start.slot), static_cast<size_t>(start.shared_tokens));
  });
}

int64_t Scheduler::remaining_tokens(const Sequence& sequence) {
  if (sequence.spec->guaranteed) return 0;  // it holds all that it will need
  const int64_t most = std::min(int64_t{sequence.spec->params.max_tokens} - sequence.output_tokens,
                                options_.session_tokens - sequence.total());
  return std::clamp<int64_t>(lengths_.remaining(sequence.output_tokens), 0, std::max<int64_t>(most, 0));
}

// Room now, with a block for each that runs so that this start does not preempt at once; and room for what all are
// forecast to need at their fullest moment.
bool Scheduler::fits(const Sequence& sequence, const Sharing& sharing, int64_t to_tokens) {
  const int32_t size = pool_->options().block_tokens;
  const bool partial = sharing.tokens % size != 0;
  const auto shared = std::span<const int32_t>(match_).first(static_cast<size_t>(sharing.blocks));
  const int64_t takes = pool_->blocks_for(to_tokens) - sharing.blocks + partial + scratch_.idle_among(shared);
  const size_t others = running_.size() + starts_.size();
  if (takes + static_cast<int64_t>(others) + (others > 0) > scratch_.obtainable_blocks()) return false;
  if (others == 0) return true;
  forecast_.clear();
  int64_t own_blocks = 0;
  const auto add = [&](const Sequence& one, int64_t blocks, int64_t shared_blocks) {
    own_blocks += blocks - shared_blocks;
    const int64_t tokens = one.spec->guaranteed ? blocks * size : one.total();
    forecast_.push_back({std::max<int64_t>(0, tokens - shared_blocks * size), remaining_tokens(one)});
  };
  for (const SlotIndex slot : running_) add(at(slot), scratch_.length(row(at(slot).place)), at(slot).shared_blocks);
  for (const Start& start : starts_) add(at(start.slot), scratch_.length(row(start.place)), start.shared_blocks);
  const int64_t shared_now = scratch_.live_blocks() - own_blocks;
  add(sequence, pool_->blocks_for(to_tokens), sharing.blocks);
  const int64_t shared_tokens = (shared_now + scratch_.idle_among(shared)) * size;
  return shared_tokens + forecast_peak_tokens(forecast_, size) <= int64_t{pool_->total_blocks()} * size;
}

void Scheduler::plan_chunks() {
  int32_t budget = step_tokens_limit_;
  for (const SlotIndex slot : running_) budget -= at(slot).planned_tokens;
  for (const SlotIndex slot : running_) {
    Sequence& sequence = at(slot);
    if (sequence.gives_way || sequence.pending() <= 1) continue;
    // A chunk that ends the prompt samples, so it too needs room for its token.
    const bool blocked = gateway_->channel(slot).ring->room() == 0;
    sequence.planned_tokens = blocked ? 0 : std::min(sequence.pending(), budget);
    budget -= sequence.planned_tokens;
  }
  for (const Start& start : starts_) {
    Sequence& sequence = at(start.slot);
    // One that was preempted while its reader was slow may come back to a ring that is still full.
    const bool blocked = !sequence.fresh() && gateway_->channel(start.slot).ring->room() == 0;
    sequence.planned_tokens = blocked ? 0 : std::min(sequence.total() - start.shared_tokens, budget);
    budget -= sequence.planned_tokens;
  }
}

void Scheduler::commit_plan(Micros now, Step* step) {
  scratch_.commit(&step->copies);
  gateway_->load().block_copies.fetch_add(step->copies.size(), std::memory_order_relaxed);
  for (const GivingWay& one : giving_way_) {
    const bool overcommitted = at(one.slot).stage == SequenceStage::kRunning;
    at(one.slot).gives_way = false;
    if (overcommitted) gateway_->load().overflows.fetch_add(1, std::memory_order_relaxed);
    if (one.reason == FinishReason::kNone) {
      preempt(one.slot);
    } else {
      finish(one.slot, one.reason, now);
    }
  }
  for (const Start& one : starts_) start(one, now);
  for (const SlotIndex slot : running_) {
    if (at(slot).planned_tokens > 0) add_to_step(slot, step);
  }
}

void Scheduler::start(const Start& start, Micros now) {
  Sequence& sequence = at(start.slot);
  LoadGauges& load = gateway_->load();
  waiting_.remove(start.slot);
  waiting_tokens_ -= sequence.prompt_tokens;
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
  running_.push_back(start.slot);
}

void Scheduler::add_to_step(SlotIndex slot, Step* step) {
  const Sequence& sequence = at(slot);
  const int32_t count = sequence.planned_tokens;
  const auto text = text_of(sequence);
  const auto step_row = static_cast<int32_t>(step->sequences.size());
  step->sequences.push_back({
      .slot = slot,
      .place = sequence.place,
      .token_begin = static_cast<int32_t>(step->tokens.size()),
      .token_count = count,
      .position_begin = sequence.kv_tokens,
      .samples = sequence.kv_tokens + count == sequence.total(),
      .params = &sequence.spec->params,
      .prompt = text.first(static_cast<size_t>(sequence.prompt_tokens)),
      .output = text.subspan(static_cast<size_t>(sequence.prompt_tokens)),
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
