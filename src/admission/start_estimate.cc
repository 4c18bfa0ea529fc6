#include "admission/start_estimate.h"

#include <algorithm>

#include <fmt/format.h>

#include "admission/front_door.h"

namespace weir {
namespace {

double seconds(Micros us) { return static_cast<double>(us) * 1e-6; }

Status late(Refusal refusal, std::string message) {
  return {Code::kUnavailable, std::move(message), refusal_name(refusal)};
}

}  // namespace

StartEstimate estimate_start(const LoadGauges& load, int class_index, int64_t prompt_tokens, int unseen) {
  const int index = std::clamp(class_index, 0, kClassesMax - 1);
  const Micros burst = std::max(unseen, 0) * load.finish_interval_us.load(std::memory_order_relaxed);
  const Micros per_1k = load.prefill_us_per_1k_tokens.load(std::memory_order_relaxed);
  // Whatever was forecast last: an engine that does nothing starts at once, and may sleep before it says so.
  const bool idle = load.running.load(std::memory_order_relaxed) <= 0 && load.waiting.load(std::memory_order_relaxed) <= 0;
  const bool known = !idle || unseen > 0;
  const Micros p50 = !known ? 0 : load.start_in_us_p50[index].load(std::memory_order_relaxed);
  const Micros p90 = !known ? 0 : load.start_in_us_p90[index].load(std::memory_order_relaxed);
  return {.start_p50_us = p90 > 0 ? p50 + burst : p50,
          .start_p90_us = p90 > 0 ? p90 + burst : 0,
          .prefill_us = static_cast<Micros>(static_cast<double>(prompt_tokens) * static_cast<double>(per_1k) / 1000)};
}

Status check_in_time(const StartEstimate& estimate, const Timing& timing, Micros ttft_slo_us) {
  if (timing.deadline_us > 0 && timing.now_us + estimate.first_token_p50_us() > timing.deadline_us) {
    return late(Refusal::kDeadlineUnmeetable,
                fmt::format("the first token is expected in {:.1f} s and the deadline is in {:.1f} s; try again later or allow "
                            "more time",
                            seconds(estimate.first_token_p50_us()), seconds(timing.deadline_us - timing.now_us)));
  }
  if (ttft_slo_us > 0 && estimate.start_p90_us > 0 && estimate.first_token_p90_us() > ttft_slo_us) {
    return late(Refusal::kOverTtftSlo,
                fmt::format("the first token could take {:.1f} s and this server promises {:.1f} s (--ttft-slo); try again later",
                            seconds(estimate.first_token_p90_us()), seconds(ttft_slo_us)));
  }
  return ok_status();
}

Micros RetrySpread::next(Micros base_us, Micros interval_us, Micros now) {
  if (interval_us <= 0) return base_us;
  const double gone = static_cast<double>(std::max<Micros>(now - now_, 0)) / static_cast<double>(interval_us);
  now_ = std::max(now_, now);
  sent_away_ = std::max(sent_away_ - gone, 0.0);
  const double most = static_cast<double>(base_us) / static_cast<double>(interval_us);
  const double extra = std::min(sent_away_, most);
  sent_away_ = extra + 1;
  return base_us + static_cast<Micros>(extra * static_cast<double>(interval_us));
}

}  // namespace weir
