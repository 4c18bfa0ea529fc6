// Scheduler: what is to come. How long steps take, when those who wait will start, and who need not start any more.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {
namespace {

int64_t milli(double value) { return static_cast<int64_t>(std::clamp(value, 0.0, 1e9) * 1000); }

}  // namespace

void Scheduler::note_step(const Step& step, const StepTook& took) {
  StepShape shape;
  for (const StepSequence& part : step.sequences) {
    if (part.known_count() == 1 && static_cast<size_t>(part.position_begin) >= part.prompt.size()) {
      shape.decode_sequences += part.token_count;  // a draft is a row like any other
      shape.decode_context_tokens += int64_t{part.token_count} * part.position_begin;
    } else {
      shape.prefill_tokens += part.token_count;
      shape.prefill_context_tokens += int64_t{part.token_count} * part.position_begin;
    }
  }
  LoadGauges& load = gateway_->load();
  if (prefill_guard_.note(step_time_, shape, took.wall_us))
    load.prefill_cuts.fetch_add(1, std::memory_order_relaxed);
  step_time_.observe(shape, took);
  load.step_drag_milli.store(milli(step_time_.drag()), std::memory_order_relaxed);
}

// Of all that run now, as if each made its next token; or of those whose next token is in the plan, for who waits for
// its reader is not slowed down by anybody.
StepShape Scheduler::shape_of_decodes(bool planned) const {
  StepShape shape;
  for (const SlotIndex slot : running_) {
    if (at(slot).pending() != 1) continue;
    if (planned && (at(slot).gives_way || at(slot).planned_tokens == 0)) continue;
    ++shape.decode_sequences;
    shape.decode_context_tokens += at(slot).kv_tokens;
  }
  return shape;
}

// How much work a step of these decodes may become by what is computed beside them; 0: as much as it likes.
Micros Scheduler::decode_step_allowed(const StepShape& decodes, int starting) const {
  if (options_.tpot_slo_us > 0) {  // wall time, of which others have a part
    return std::max<Micros>(1, static_cast<Micros>(static_cast<double>(options_.tpot_slo_us) / step_time_.drag()));
  }
  if (options_.prefill_stretch == 0) return 0;
  const int places = std::max(0, running_limit_ - running_count() - starting);
  const int64_t waiting = head_blocked_ ? 0 : std::min(waiting_.count(), places);  // those who could start
  int64_t no_token_yet = starting + waiting;
  for (const SlotIndex slot : running_) no_token_yet += at(slot).pending() > 1;
  const double stretch = std::max<double>(options_.prefill_stretch,
                                          1 + static_cast<double>(no_token_yet) / static_cast<double>(decodes.decode_sequences));
  return std::max<Micros>(1, static_cast<Micros>(stretch * static_cast<double>(step_time_.predict_work(decodes))));
}

// Tokens of prefill that this step may have: the brown-out's limit, and what keeps decodes within their time.
int64_t Scheduler::prefill_budget(int64_t budget) {
  if (prefill_tokens_limit_ > 0) budget = std::min<int64_t>(budget, prefill_tokens_limit_);
  prefill_guard_.grant_all();
  const StepShape decodes = shape_of_decodes(true);
  if (decodes.decode_sequences == 0) return budget;
  const Micros allowed = decode_step_allowed(decodes, static_cast<int>(starts_.size()));
  int64_t context = 0;
  for (const SlotIndex slot : running_) {
    if (!at(slot).gives_way && at(slot).pending() > 1) {
      context = at(slot).kv_tokens;
      break;
    }
  }
  return std::min(budget, prefill_guard_.grant(step_time_, decodes, allowed, context));
}

// Whether a sequence that could start now is not worth starting: its prompt alone takes longer than its deadline
// allows, or it is urgent work in a queue that stands.
FinishReason Scheduler::too_late(SlotIndex slot, Micros now) {
  const Sequence& sequence = at(slot);
  if (!sequence.fresh()) return FinishReason::kNone;
  const RequestSpec& spec = *sequence.spec;
  if (spec.deadline_us != 0 && step_time_.confident()) {
    if (now + step_time_.predict({.prefill_tokens = sequence.prompt_tokens}) > spec.deadline_us) return FinishReason::kDeadline;
  }
  if (own_kind(sequence) != ClassKind::kUrgent) return FinishReason::kNone;
  const bool others = waiting_.count_of(waiting_.item(slot).class_index) > 1;
  const bool expires = codel_.expires(now - sequence.submitted_us, others, now);
  gateway_->load().queue_stands.store(codel_.standing(), std::memory_order_relaxed);
  return expires ? FinishReason::kExpired : FinishReason::kNone;
}

void Scheduler::foresee(Micros now) {
  if (waiting_.empty()) return foresee_nothing();
  const Micros spacing = std::max<Micros>(kForeseeEveryUs, waiting_.count() * kForeseePerWaitingUs);
  if (foreseen_us_ != 0 && now >= foreseen_us_ && now - foreseen_us_ < spacing) return;
  foreseen_us_ = now;
  const StepShape decodes = shape_of_decodes(false);
  const int64_t prompt_mean = waiting_tokens_ / waiting_.count();
  int64_t prefill_max = prefill_tokens_limit_;
  if (decodes.decode_sequences > 0) {
    const int64_t within =
        prefill_guard_.limit(step_time_, decodes, decode_step_allowed(decodes, 0), prompt_mean / 2);
    if (within != StepTimeModel::kNoLimit) prefill_max = prefill_max > 0 ? std::min(prefill_max, within) : within;
  }
  const int places = head_blocked_ ? std::max(1, active_count()) : running_limit_;
  start_forecast_.begin({.places = std::min(places, options_.running_max),
                         .sequences = running_count() + waiting_.count(),
                         .step_tokens = step_tokens_limit_,
                         .prefill_tokens_max = prefill_max,
                         .context_tokens_mean = decodes.decode_sequences == 0 ? 0 : decodes.decode_context_tokens / decodes.decode_sequences,
                         .prompt_tokens_mean = prompt_mean});
  for (const SlotIndex slot : running_) {
    const Sequence& sequence = at(slot);
    start_forecast_.add_running({.pending_prefill_tokens = sequence.pending() > 1 ? sequence.pending() : 0,
                                 .remaining_tokens = std::max<int64_t>(1, expected_tokens(sequence))});
  }
  int32_t ahead = 0;
  waiting_.begin_round();
  for (SlotIndex slot = waiting_.next(); slot != FairQueue::kNone; slot = waiting_.next()) {
    const Sequence& sequence = at(slot);
    const int64_t output = std::max<int64_t>(1, expected_tokens(sequence));
    const StartTimes times = start_forecast_.add_waiting(
        {.prompt_tokens = sequence.total(), .output_tokens = output, .class_index = waiting_.item(slot).class_index});
    tell(slot, ahead++, times, now);
    waiting_.pass(cost(sequence, sequence.total() + kOutputCost * output));
  }
  waiting_.end_round();
  publish_forecast();
}

// Tokens still to come, as the median of past answers says.
int64_t Scheduler::expected_tokens(const Sequence& sequence) {
  const int64_t most = std::min(int64_t{sequence.spec->params.max_tokens} - sequence.output_tokens,
                                options_.session_tokens - sequence.total());
  const int64_t expected = sequence.scored_to_come() + usual_lengths_.remaining(sequence.chosen());
  return std::clamp<int64_t>(expected, 0, std::max<int64_t>(most, 0));
}

void Scheduler::tell(SlotIndex slot, int32_t ahead, const StartTimes& times, Micros now) {
  Sequence& sequence = at(slot);
  WaitView& view = gateway_->channel(slot).wait;
  const Quantiles start = start_forecast_.calibrated(times.start_in_us);
  const Quantiles first = start_forecast_.calibrated(times.first_token_in_us);
  view.ahead.store(ahead, std::memory_order_relaxed);
  if (view.reason.load(std::memory_order_relaxed) == WaitReason::kNew) say(slot, WaitReason::kOrder);
  if (!step_time_.confident()) return;
  view.start_p50_us.store(now + start.p50_us, std::memory_order_relaxed);
  view.start_p90_us.store(now + start.p90_us, std::memory_order_relaxed);
  view.first_token_p50_us.store(now + first.p50_us, std::memory_order_relaxed);
  view.first_token_p90_us.store(now + first.p90_us, std::memory_order_relaxed);
  if (sequence.fresh() && sequence.told.at_us == 0) {
    sequence.told = {.at_us = now, .model_in_us = times.start_in_us, .p90_in_us = start.p90_us};
  }
}

void Scheduler::publish_forecast() {
  if (!step_time_.confident()) return;
  LoadGauges& load = gateway_->load();
  const int64_t prompt = waiting_tokens_ / std::max(1, waiting_.count());
  for (size_t c = 0; c < options_.classes.size(); ++c) {
    const Quantiles start = start_forecast_.calibrated(start_forecast_.newcomer(static_cast<int>(c), prompt).start_in_us);
    load.start_in_us_p50[c].store(start.p50_us, std::memory_order_relaxed);
    load.start_in_us_p90[c].store(start.p90_us, std::memory_order_relaxed);
  }
  load.prefill_us_per_1k_tokens.store(start_forecast_.prefill_us_per_1k_tokens(), std::memory_order_relaxed);
  load.start_ratio_milli_p50.store(milli(start_forecast_.ratio_quantile(0.5)), std::memory_order_relaxed);
  load.start_ratio_milli_p90.store(milli(start_forecast_.ratio_quantile(0.9)), std::memory_order_relaxed);
  load.start_within_p90_milli.store(milli(start_forecast_.within_p90()), std::memory_order_relaxed);
  load.step_error_milli_p50.store(milli(step_time_.error_quantile(0.5)), std::memory_order_relaxed);
  load.step_error_milli_p90.store(milli(step_time_.error_quantile(0.9)), std::memory_order_relaxed);
  load.step_pace_milli.store(milli(step_time_.pace()), std::memory_order_relaxed);
}

// Nobody waits: whoever came now would start at once.
void Scheduler::foresee_nothing() {
  if (foreseen_us_ == 0) return;
  foreseen_us_ = 0;
  codel_.queue_empty();
  LoadGauges& load = gateway_->load();
  load.queue_stands.store(false, std::memory_order_relaxed);
  for (size_t c = 0; c < options_.classes.size(); ++c) {
    load.start_in_us_p50[c].store(0, std::memory_order_relaxed);
    load.start_in_us_p90[c].store(0, std::memory_order_relaxed);
  }
}

}  // namespace weir
