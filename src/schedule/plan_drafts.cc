// Scheduler: drafts in a step, when everything else of it is decided.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {

// A step that computes prefill has none: the matrices are busy with the prompt, every further row costs
// its full time.
void Scheduler::plan_drafts() {
  if (!speculation_.enabled()) return;
  StepShape decodes;
  int32_t budget = step_tokens_limit_;
  for (const SlotIndex slot : running_) {
    const Sequence& sequence = at(slot);
    if (sequence.gives_way || sequence.planned_tokens == 0) continue;
    if (sequence.pending() > 1) return;
    --budget;
    ++decodes.decode_sequences;
    decodes.decode_context_tokens += sequence.kv_tokens;
  }
  const bool prefills = std::any_of(starts_.begin(), starts_.end(),
                                    [this](const Start& start) { return at(start.slot).planned_tokens > 0; });
  if (prefills || decodes.decode_sequences == 0) return;
  budget = std::min(budget, speculation_.options().step_tokens_max);
  budget = static_cast<int32_t>(std::min<int64_t>(budget, step_time_.rows_within(decodes, options_.tpot_slo_us)));
  speculation_.begin_step(step_time_.row_price(decodes));
  for (const SlotIndex slot : running_) {
    Sequence& sequence = at(slot);
    const int32_t longest = std::min(budget, room_for_drafts(slot));
    if (longest < 1) continue;
    const auto known = static_cast<size_t>(sequence.total());
    const std::span<int32_t> text =
        histories_.subspan(history_begin(sequence.place), known + static_cast<size_t>(longest));
    sequence.planned_drafts =
        speculation_.propose(sequence.place, text.first(known), sequence.output_tokens, text.subspan(known));
    sequence.planned_tokens += sequence.planned_drafts;
    budget -= sequence.planned_drafts;
  }
  const int switched_off = speculation_.take_switched_off();
  if (switched_off == 0) return;
  gateway_->load().spec_switched_off.fetch_add(static_cast<uint64_t>(switched_off), std::memory_order_relaxed);
}

// Drafts that a decode may have: those that could still be wanted, with a position in the session, room in its ring
// and a place in the blocks that it has anyway. A draft never takes a block, so it evicts nothing, preempts nobody
// and counts against nobody's share; the price is one short draft at the end of a block.
int32_t Scheduler::room_for_drafts(SlotIndex slot) const {
  const Sequence& sequence = at(slot);
  if (sequence.gives_way || sequence.planned_tokens == 0) return 0;
  const SamplingParams& params = sequence.spec->params;
  const int64_t ring = static_cast<int64_t>(gateway_->channel(slot).ring->room()) - 1;
  const int64_t blocks =
      int64_t{scratch_.length(row(sequence.place))} * pool_->options().block_tokens - sequence.total();
  const int64_t session = options_.session_tokens - sequence.total() - 1;
  int64_t answer = int64_t{params.max_tokens} - sequence.output_tokens - 1;
  if (own_kind(sequence) == ClassKind::kBackground && background_tokens_max_ > 0) {
    answer = std::min<int64_t>(answer, int64_t{background_tokens_max_} - sequence.chosen() - 1);
  }
  const int64_t most = std::min({ring, blocks, session, answer, int64_t{speculation_.options().tokens_max}});
  return static_cast<int32_t>(std::max<int64_t>(most, 0));
}

// Takes what a sequence's last tokens of the step gave: the first token, and behind it one for each draft that was
// right, each as if a step of its own had computed it. What an ended sequence would have got is dropped.
// RETURNS: how many drafts were taken.
int32_t Scheduler::take_tokens(const StepSequence& part, const StepResult& result, Micros now) {
  Sequence& sequence = at(part.slot);
  WEIR_CHECK(result.accepted >= 0 && result.accepted <= part.draft_count());
  take_token(part.slot, result.token, now);
  int32_t taken = 0;
  while (taken < result.accepted && sequence.stage == SequenceStage::kRunning) {
    ++sequence.kv_tokens;  // of the token just taken: its draft was computed
    publish_blocks(&sequence);
    take_token(part.slot, result.more[static_cast<size_t>(taken++)], now);
  }
  return taken;
}

void Scheduler::count_drafts(const StepSequence& part, int32_t accepted, int32_t taken) {
  LoadGauges& load = gateway_->load();
  load.spec_drafted_tokens.fetch_add(static_cast<uint64_t>(part.draft_count()), std::memory_order_relaxed);
  load.spec_accepted_tokens.fetch_add(static_cast<uint64_t>(taken), std::memory_order_relaxed);
  speculation_.note(part.place, part.draft_count(), accepted);
}

}  // namespace weir
