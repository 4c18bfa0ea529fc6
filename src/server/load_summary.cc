#include "server/load_summary.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"

namespace weir {

LoadSummary::Sums LoadSummary::read() const {
  return {.steps = load_->steps.load(std::memory_order_relaxed),
          .prompt_tokens = load_->prompt_tokens.load(std::memory_order_relaxed),
          .output_tokens = load_->output_tokens.load(std::memory_order_relaxed),
          .step_us = load_->step_us_total.load(std::memory_order_relaxed)};
}

void LoadSummary::observe(Micros now_us) {
  if (!log_enabled(LogLevel::kDebug) || (told_us_ != 0 && now_us - told_us_ < kEveryUs)) return;
  const Sums now = read(), before = std::exchange(told_, now);
  const Micros since_us = now_us - std::exchange(told_us_, now_us);
  if (since_us == now_us || now.steps == before.steps) return;  // the first look has nothing to compare with
  const uint64_t steps = now.steps - before.steps;
  log_debug(
      "engine",
      fmt::format("{} steps in {:.1f} s, {:.2f} ms each: {} prompt tokens, {} output tokens; {} run, {} wait",
                  steps, static_cast<double>(since_us) * 1e-6,
                  static_cast<double>(now.step_us - before.step_us) * 1e-3 / static_cast<double>(steps),
                  now.prompt_tokens - before.prompt_tokens, now.output_tokens - before.output_tokens,
                  load_->running.load(std::memory_order_relaxed), load_->waiting.load(std::memory_order_relaxed)));
}

}  // namespace weir
