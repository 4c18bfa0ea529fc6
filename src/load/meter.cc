#include "load/meter.h"

#include <algorithm>

namespace weir::load {

Meter::Meter(size_t tenants_count, const Targets& targets) : tenants(tenants_count), targets_(targets) {}

Micros time_per_token(const Answer& answer) {
  return (answer.last_us - answer.first_us) / (answer.output_tokens - 1);
}

double jain_index(const std::vector<double>& shares) {
  double sum = 0, squares = 0;
  for (const double share : shares) {
    sum += share;
    squares += share * share;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(shares.size()) * squares);
}

void Meter::record(const Outcome& outcome, const Answer& answer) {
  series.ended(outcome.end_us, answer.ending);
  if (!outcome.measured) {
    ++warmup;
    return;
  }
  ++sent;
  Micros& last = outcome.slow ? last_slow_end_us : last_end_us;
  last = std::max(last, outcome.end_us);
  if (outcome.slow) ++slow;
  lateness.record(outcome.begun_us - outcome.due_us);
  TenantCount& tenant = tenants[outcome.tenant];
  ++tenant.sent;
  output_tokens += answer.output_tokens;
  tenant.output_tokens += answer.output_tokens;
  if (answer.output_tokens > 0) {
    const int64_t prompt = answer.prompt_tokens >= 0 ? answer.prompt_tokens : outcome.planned_prompt_tokens;
    prompt_tokens += prompt;
    tenant.prompt_tokens += prompt;
  }
  const bool timed = outcome.stream && !outcome.slow && answer.events > 0;
  if (timed && (answer.ending == Ending::kCompleted || answer.ending == Ending::kAborted)) {
    ttft.record(answer.first_us - outcome.due_us);
  }
  switch (answer.ending) {
    case Ending::kCompleted:
      ++completed;
      ++tenant.completed;
      if (!outcome.slow) record_completed(outcome, answer);
      break;
    case Ending::kRefused:
      ++tenant.refused;
      record_refused(outcome, answer);
      break;
    case Ending::kFailed:
      ++failed;
      ++tenant.failed;
      ++failures[static_cast<size_t>(answer.failure)];
      break;
    case Ending::kAborted:
      ++aborted;
      ++tenant.aborted;
      break;
    case Ending::kInterrupted:
      ++interrupted;
      break;
  }
}

void Meter::record_completed(const Outcome& outcome, const Answer& answer) {
  whole.record(outcome.end_us - outcome.due_us);
  const bool has_pace = outcome.stream && answer.events > 1 && answer.output_tokens > 1;
  const Micros pace = has_pace ? time_per_token(answer) : 0;
  if (has_pace) tpot.record(pace);
  const bool in_time =
      targets_.ttft_us == 0 || (answer.events > 0 && answer.first_us - outcome.due_us <= targets_.ttft_us);
  const bool in_pace = targets_.tpot_us == 0 || pace <= targets_.tpot_us;
  if (in_time && in_pace) ++met;
}

void Meter::record_refused(const Outcome& outcome, const Answer& answer) {
  ++refused;
  if (answer.retry_after) ++with_retry_after;
  if (!outcome.slow) refusal.record(outcome.end_us - outcome.due_us);
  count_refusal({answer.status, answer.reason, answer.code}, 1);
}

void Meter::count_refusal(const RefusalKind& kind, uint64_t count) {
  const bool room = refusals.size() < kRefusalKindsMax || refusals.count(kind) != 0;
  refusals[room ? kind : RefusalKind{0, "other", ""}] += count;
}

void Meter::merge(const Meter& other) {
  const std::pair<Histogram*, const Histogram*> histograms[] = {
      {&ttft, &other.ttft},       {&tpot, &other.tpot},         {&gap, &other.gap},  {&whole, &other.whole},
      {&refusal, &other.refusal}, {&lateness, &other.lateness}, {&turn, &other.turn}};
  for (const auto& [mine, theirs] : histograms) mine->merge(*theirs);
  for (uint64_t Meter::*count :
       {&Meter::sent, &Meter::completed, &Meter::refused, &Meter::failed, &Meter::aborted, &Meter::interrupted,
        &Meter::slow, &Meter::warmup, &Meter::met, &Meter::with_retry_after, &Meter::bytes_in, &Meter::connects,
        &Meter::reconnects}) {
    this->*count += other.*count;
  }
  prompt_tokens += other.prompt_tokens;
  output_tokens += other.output_tokens;
  for (size_t i = 0; i < failures.size(); ++i) failures[i] += other.failures[i];
  for (const auto& [kind, count] : other.refusals) count_refusal(kind, count);
  for (size_t i = 0; i < tenants.size(); ++i) {
    const TenantCount& from = other.tenants[i];
    TenantCount& to = tenants[i];
    for (uint64_t TenantCount::*count : {&TenantCount::sent, &TenantCount::completed, &TenantCount::refused,
                                         &TenantCount::failed, &TenantCount::aborted}) {
      to.*count += from.*count;
    }
    to.prompt_tokens += from.prompt_tokens;
    to.output_tokens += from.output_tokens;
  }
  last_end_us = std::max(last_end_us, other.last_end_us);
  last_slow_end_us = std::max(last_slow_end_us, other.last_slow_end_us);
  series.merge(other.series);
}

}  // namespace weir::load
