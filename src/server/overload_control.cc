#include "server/overload_control.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "server/blueprint.h"
#include "server/key_file.h"

namespace weir {
namespace {

constexpr char kArea[] = "overload";
// What a step that is on its target says of brown-out: the first rung, which makes steps shorter. A third more reaches
// the second one; a slow step alone is no reason for any other.
constexpr double kStepPressureAtTarget = 0.5, kStepPressureMax = 0.79;
constexpr int kChunkTokensMin = 16;

const char* mode_name(AdaptiveMode mode) {
  switch (mode) {
    case AdaptiveMode::kOff: return "off";
    case AdaptiveMode::kOn: return "on";
    case AdaptiveMode::kShadow: return "shadow";
  }
  return "unknown";
}

AdaptiveMode adaptive_mode(const std::string& word) {
  return word == "on" ? AdaptiveMode::kOn : word == "shadow" ? AdaptiveMode::kShadow : AdaptiveMode::kOff;
}

}  // namespace

OverloadOptions overload_options(const Blueprint& blueprint) {
  const Settings& settings = blueprint.settings;
  return {.adaptive = adaptive_mode(settings.adaptive),
          .brown_out = settings.brown_out == "on",
          .tpot_slo_us = settings.tpot_slo_ms * 1000,
          .ttft_slo_us = settings.ttft_slo_ms * 1000,
          .queue_timeout_us = settings.queue_timeout_ms * 1000,
          .places = blueprint.running_max,
          .step_tokens_max = settings.max_prefill_token_num,
          .standard_class = default_class_of(settings)};
}

void RecentLeast::add(double value, Micros now) {
  if (now_ == 0) {
    begun_us_ = now;
    now_ = value;
  }
  if (now - begun_us_ >= half_us_) {
    before_ = now_;
    now_ = value;
    begun_us_ = now;
  }
  now_ = std::min(now_, value);
}

double RecentLeast::value() const { return before_ > 0 ? std::min(now_, before_) : now_; }

OverloadControl::OverloadControl(const OverloadOptions& options, Gateway* gateway, FrontDoor* door)
    : options_(options), gateway_(gateway), door_(door), limit_({.limit_min = 1, .limit_max = std::max(1, options.places)}) {
  now_.adaptive = mode_name(options.adaptive);
  now_.brown_out = options.brown_out;
}

// The operator may move the limit while the server runs; the adaptive one stays below it.
void OverloadControl::follow_bounds(Micros now) {
  const int most = std::clamp(door_->options().running_max, 1, std::max(1, options_.places));
  const int least = std::max(1, most / kLimitShareMin);
  if (most == limit_.limit_max() && least == limit_.limit_min()) return;
  if (const auto change = limit_.set_bounds(least, most, now)) note(*change);
}

void OverloadControl::measure(Micros now) {
  const LoadGauges& load = gateway_->load();
  const uint64_t steps = load.steps.load(std::memory_order_relaxed);
  const int64_t step_us = load.step_us_total.load(std::memory_order_relaxed);
  const uint64_t ran = steps - steps_before_;
  const auto took = static_cast<double>(step_us - step_us_before_);
  steps_before_ = steps;
  step_us_before_ = step_us;
  signal_ = 0;
  if (!begun_ || ran < kStepsMin || took <= 0) return;
  const double mean = took / static_cast<double>(ran);
  baseline_.add(mean, now);
  const double target = options_.tpot_slo_us > 0 ? static_cast<double>(options_.tpot_slo_us) : kBaselineFactor * baseline_.value();
  signal_ = mean / target;
}

void OverloadControl::note(const LimitChange& change) {
  {
    std::lock_guard lock(mutex_);
    ++now_.changes[static_cast<size_t>(change.reason)];
    now_.last_changes.insert(now_.last_changes.begin(), change);
    if (now_.last_changes.size() > OverloadNow::kChangesShown) now_.last_changes.pop_back();
  }
  log_info(kArea,
           fmt::format(
               "adaptive limit{}: {} to {} places, {} (step time {:.2f} of its target, queue delay {:.0f} ms)",
               options_.adaptive == AdaptiveMode::kShadow ? " (shadow)" : "", change.from, change.to,
               limit_reason_name(change.reason), change.signal, static_cast<double>(change.queue_delay_us) * 1e-3));
}

void OverloadControl::control(Micros now) {
  const LoadGauges& load = gateway_->load();
  const auto change = limit_.period({.signal = signal_,
                                     .queue_delay_us = door_->estimate(options_.standard_class).start_p50_us,
                                     .running = load.running.load(std::memory_order_relaxed),
                                     .waiting = load.waiting.load(std::memory_order_relaxed)},
                                    now);
  if (change) note(*change);
}

double OverloadControl::queue_fill() const {
  const int most = door_->options().queued_max;
  if (most <= 0) return 0;
  return static_cast<double>(gateway_->load().waiting.load(std::memory_order_relaxed)) / most;
}

// Only where somebody promised a step time: a baseline is no promise.
double OverloadControl::step_pressure() const {
  return options_.tpot_slo_us > 0 ? std::min(kStepPressureAtTarget * signal_, kStepPressureMax) : 0;
}

void OverloadControl::climb(Micros now) {
  const BrownOutReading reading{.start_p90_us = door_->estimate(options_.standard_class).start_p90_us,
                                .start_limit_us = options_.ttft_slo_us > 0 ? options_.ttft_slo_us : options_.queue_timeout_us,
                                .queue_fill = queue_fill(),
                                .pressure = step_pressure()};
  const BrownOutStep step = ladder_.feed(reading, now);
  carry_out(step, this);
  if (step.to == step.from) return;
  log_line(step.to > step.from ? LogLevel::kWarning : LogLevel::kInfo, kArea,
           fmt::format("brown-out: {} to {} (level {:.2f}: predicted start {:.1f} s of {:.1f} s, queue {:.0f} % full, step time "
                       "{:.2f} of its target)",
                       rung_name(step.from), rung_name(step.to), step.level, static_cast<double>(reading.start_p90_us) * 1e-6,
                       static_cast<double>(reading.start_limit_us) * 1e-6, 100 * reading.queue_fill, signal_));
}

void OverloadControl::turn(Micros now) {
  follow_bounds(now);
  if (!begun_ || now - period_begun_us_ >= kPeriodUs || now < period_begun_us_) {
    measure(now);
    if (options_.adaptive != AdaptiveMode::kOff) control(now);
    period_begun_us_ = now;
    begun_ = true;
  }
  if (options_.adaptive == AdaptiveMode::kOn) {
    gateway_->controls().adaptive_limit.store(limit_.limit(), std::memory_order_relaxed);
    door_->set_adaptive_limit(limit_.limit());
  }
  const Rung before = ladder_.rung();
  if (options_.brown_out) climb(now);
  std::lock_guard lock(mutex_);
  now_.limit = limit_.limit();
  now_.limit_min = limit_.limit_min();
  now_.limit_max = limit_.limit_max();
  now_.signal = signal_;
  now_.rung = ladder_.rung();
  now_.level = ladder_.level();
  if (ladder_.rung() > before) ++now_.entered[static_cast<size_t>(ladder_.rung())];
}

OverloadNow OverloadControl::now() const {
  std::lock_guard lock(mutex_);
  return now_;
}

// ---- The rungs. The engine looks at its words between two steps; only an order needs it to be woken. ----

void OverloadControl::smaller_chunks(bool on) {
  const int half = std::max(kChunkTokensMin, options_.step_tokens_max / 2);
  gateway_->controls().prefill_tokens_limit.store(on ? half : 0, std::memory_order_relaxed);
}

void OverloadControl::clamp_background(bool on) {
  gateway_->controls().background_tokens_max.store(on ? kBackgroundTokensMax : 0, std::memory_order_relaxed);
}

// Where the queue waits for places, forgotten prefixes would only have to be computed again.
void OverloadControl::evict_caches(bool on) {
  if (!on || !gateway_->load().head_blocked.load(std::memory_order_relaxed)) return;
  gateway_->controls().drop_caches.fetch_add(1, std::memory_order_relaxed);
  gateway_->poke();
}

void OverloadControl::queue(bool on) {
  gateway_->controls().hold_background.store(on, std::memory_order_relaxed);
  gateway_->poke();
}

void OverloadControl::refuse(bool on) { door_->refuse_for_brown_out(on); }

}  // namespace weir
