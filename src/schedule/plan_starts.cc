// Scheduler::plan_starts(): who of the waiting begins with this step.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {

void Scheduler::plan_starts(Micros now) {
  head_blocked_ = head_passed_ = false;
  fresh_starts_ = 0;
  if (waiting_.empty()) return;
  if (giving_way_.size() > static_cast<size_t>(places_vacated_)) {
    head_blocked_ = true;
    return;
  }
  waiting_.begin_round();
  for (int looked_at = 0; looked_at < kLookAhead; ++looked_at) {
    const SlotIndex slot = waiting_.next();
    if (slot == FairQueue::kNone || !plan_start(slot, now)) break;
  }
  waiting_.end_round();
}

// Deals with the one that the queue offers. RETURNS: whether others after it are to be looked at.
bool Scheduler::plan_start(SlotIndex slot, Micros now) {
  Sequence& sequence = at(slot);
  if (tenant_runs_all(sequence)) {
    say(slot, WaitReason::kTenantLimit);
    waiting_.pass_tenant();
    return true;
  }
  if (hold_background_ && others_ > 0 && own_kind(sequence) == ClassKind::kBackground) {
    say(slot, sequence.fresh() ? WaitReason::kOrder : WaitReason::kPreempted);
    waiting_.pass();
    return true;
  }
  if (!has_place(sequence)) {
    say(slot, sequence.fresh() ? WaitReason::kPlace : WaitReason::kPreempted);
    return false;
  }
  if (const FinishReason reason = too_late(slot, now); reason != FinishReason::kNone) {
    giving_way_.push_back({slot, reason, false});
    waiting_.pass();
    return true;
  }
  const int32_t place = sequence.fresh() ? free_places_[free_places_.size() - 1 - static_cast<size_t>(fresh_starts_)] : sequence.place;
  switch (consider(slot, place)) {
    case Verdict::kStarts:
      if (head_passed_) gateway_->load().passes.fetch_add(1, std::memory_order_relaxed);
      fresh_starts_ += sequence.fresh();
      waiting_.take(sequence.fresh() ? cost(sequence, sequence.prompt_tokens) : 0);
      return true;
    case Verdict::kWaitsForPrefix:
      say(slot, WaitReason::kPrefix);
      waiting_.pass();
      return true;
    case Verdict::kOverShare:
      say(slot, WaitReason::kTenantLimit);
      waiting_.pass_tenant();
      return true;
    case Verdict::kNever:  // the pool, or its tenant's share, was made smaller than what it has become
      giving_way_.push_back({slot, sequence.output_tokens > 0 ? FinishReason::kLength : FinishReason::kMemoryPressure, false});
      waiting_.pass();
      return true;
    case Verdict::kBlocked: break;
  }
  head_blocked_ = head_passed_ = true;
  say(slot, sequence.fresh() ? WaitReason::kBlocks : WaitReason::kPreempted);
  waiting_.pass();
  return sequence.fresh() && now - sequence.submitted_us < options_.ageing_us;
}

// Whether one more may start in this step.
bool Scheduler::has_place(const Sequence& sequence) const {
  if (sequence.fresh() && static_cast<size_t>(fresh_starts_) == free_places_.size()) return false;
  return active_count() + static_cast<int>(starts_.size()) - places_vacated_ < running_limit_;
}

// Where the limit is all that keeps urgent work out, the newest running sequences of background classes are parked. Before
// anything else is planned: what a plan has given blocks to, it cannot take them from.
void Scheduler::vacate_places() {
  places_vacated_ = 0;
  if (options_.parked_max == 0 || squeezed_ || waiting_.empty() || active_count() < running_limit_) return;
  waiting_.begin_round();
  for (int looked_at = 0; looked_at < kLookAhead; ++looked_at) {
    const SlotIndex slot = waiting_.next();
    if (slot == FairQueue::kNone || static_cast<size_t>(places_vacated_) == free_places_.size()) break;
    const Sequence& sequence = at(slot);
    if (own_kind(sequence) != ClassKind::kUrgent) break;
    if (tenant_runs_all(sequence)) {
      waiting_.pass_tenant();
      continue;
    }
    if (!park_one_for(sequence)) break;
    waiting_.pass();
  }
  waiting_.end_round();
}

bool Scheduler::park_one_for(const Sequence& sequence) {
  for (size_t i = running_.size(); i-- > 0;) {
    const Sequence& victim = at(running_[i]);
    if (kind_of(victim) != ClassKind::kBackground) return false;
    if (victim.gives_way || victim.spec->guaranteed) continue;
    const int64_t freed = scratch_.length(row(victim.place));
    if (pool_->blocks_for(reserve_tokens(sequence)) > scratch_.obtainable_blocks() + freed) continue;
    give_way(running_[i], FinishReason::kNone, true);
    ++places_vacated_;
    return true;
  }
  return false;
}

bool Scheduler::tenant_runs_all(const Sequence& sequence) const {
  const int32_t most = knobs(sequence).running_max.load(std::memory_order_relaxed);
  if (most <= 0) return false;
  const auto starts = std::count_if(starts_.begin(), starts_.end(), [&](const Start& start) {
    return at(start.slot).tenant == sequence.tenant;
  });
  return tenant_running_[static_cast<size_t>(sequence.tenant)] + starts >= most;
}

// Blocks of the pool that its tenant may have, at least one.
int64_t Scheduler::share_blocks(const Sequence& sequence) const {
  const int64_t milli = knobs(sequence).kv_share_milli.load(std::memory_order_relaxed);
  return std::max<int64_t>(1, int64_t{pool_->total_blocks()} * milli / 1000);
}

int64_t Scheduler::held_by_tenant(const Sequence& sequence) const {
  int64_t blocks = 0;
  for (const SlotIndex slot : running_) {
    const Sequence& other = at(slot);
    if (other.tenant == sequence.tenant && !other.gives_way) blocks += scratch_.length(row(other.place));
  }
  for (const Start& start : starts_) {
    if (at(start.slot).tenant == sequence.tenant) blocks += scratch_.length(row(start.place));
  }
  return blocks;
}

void Scheduler::say(SlotIndex slot, WaitReason reason) {
  gateway_->channel(slot).wait.reason.store(reason, std::memory_order_relaxed);
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
  const int64_t share = share_blocks(sequence), needs = pool_->blocks_for(to_tokens);
  if (share < pool_->total_blocks()) {
    const int64_t held = held_by_tenant(sequence);
    if (held == 0 && needs_alone > share) return Verdict::kNever;
    if (held + needs > share) return Verdict::kOverShare;
  }
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
  const int64_t forecast = sequence.scored_to_come() + lengths_.remaining(sequence.chosen());
  return std::clamp<int64_t>(forecast, 0, std::max<int64_t>(most, 0));
}

// Room now, with a block for each that runs so that this start does not preempt at once; and room for what all are
// forecast to need at their fullest moment.
bool Scheduler::fits(const Sequence& sequence, const Sharing& sharing, int64_t to_tokens) {
  const int32_t size = pool_->options().block_tokens;
  const bool partial = sharing.tokens % size != 0;
  const auto shared = std::span<const int32_t>(match_).first(static_cast<size_t>(sharing.blocks));
  const int64_t takes = pool_->blocks_for(to_tokens) - sharing.blocks + partial + scratch_.idle_among(shared);
  const size_t others = running_.size() - static_cast<size_t>(places_vacated_) + starts_.size();
  if (takes + static_cast<int64_t>(others) + (others > 0) > scratch_.obtainable_blocks()) return false;
  if (others == 0) return true;
  forecast_.clear();
  int64_t own_blocks = 0;
  const auto add = [&](const Sequence& one, int64_t blocks, int64_t shared_blocks) {
    own_blocks += blocks - shared_blocks;
    const int64_t tokens = one.spec->guaranteed ? blocks * size : one.total();
    forecast_.push_back({std::max<int64_t>(0, tokens - shared_blocks * size), remaining_tokens(one)});
  };
  for (const SlotIndex slot : running_) {
    if (!at(slot).gives_way) add(at(slot), scratch_.length(row(at(slot).place)), at(slot).shared_blocks);
  }
  for (const Start& start : starts_) add(at(start.slot), scratch_.length(row(start.place)), start.shared_blocks);
  const int64_t shared_now = scratch_.live_blocks() - own_blocks;
  add(sequence, pool_->blocks_for(to_tokens), sharing.blocks);
  const int64_t shared_tokens = (shared_now + scratch_.idle_among(shared)) * size;
  return shared_tokens + forecast_peak_tokens(forecast_, size) <= int64_t{pool_->total_blocks()} * size;
}

}  // namespace weir
