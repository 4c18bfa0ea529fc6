// OverloadControl: runs the adaptive limit and the brown-out ladder, and carries out what they decide.
//
//   adaptive limit  once per kPeriodUs: mean step time of the period over its target, where the target is --tpot-slo or,
//                   without one, kBaselineFactor times the fastest period of the last ten minutes. The limit goes to
//                   Controls::adaptive_limit and to the front door; with --adaptive shadow it is computed, logged and
//                   shown, and goes nowhere.
//   brown-out       every turn, from the forecast, the queue and the step time; each rung is a word in Controls or at the
//                   front door, taken back when the rung is left.
//
// Owner: App. Thread: the monitor's, which calls turn() on its beat; it never waits for the engine. now() is for any
// thread. Every change is one line in the log, with figures. Limits: none of its own; it allocates only for those lines
// and for now().
#pragma once

#include <mutex>

#include "admission/front_door.h"
#include "admission/overload_now.h"
#include "base/clock.h"
#include "message/gateway.h"

namespace weir {

enum class AdaptiveMode : uint8_t { kOff, kOn, kShadow };

struct OverloadOptions {
  AdaptiveMode adaptive = AdaptiveMode::kOff;
  bool brown_out = true;
  Micros tpot_slo_us = 0, ttft_slo_us = 0, queue_timeout_us = 0;  // 0: none
  int places = 1;           // built
  int step_tokens_max = 1;  // --max-prefill-token-num
  int standard_class = 0;   // whose predicted start counts
};

struct Blueprint;
OverloadOptions overload_options(const Blueprint& blueprint);

// The least of the last so many values: of two halves of a window, so that an old one is forgotten in time.
class RecentLeast {
 public:
  explicit RecentLeast(Micros half_window_us) : half_us_(half_window_us) {}
  void add(double value, Micros now);
  double value() const;  // 0: none yet

 private:
  const Micros half_us_;
  Micros begun_us_ = 0;
  double now_ = 0, before_ = 0;
};

class OverloadControl final : private BrownOutActions {
 public:
  static constexpr Micros kPeriodUs = 1'000'000;
  static constexpr uint64_t kStepsMin = 4;         // fewer say nothing about a period
  static constexpr double kBaselineFactor = 4;     // of the fastest steps: what a full batch may cost
  static constexpr Micros kBaselineHalfUs = 300'000'000;
  static constexpr int kBackgroundTokensMax = 128; // of an answer, on the rung clamp_background
  static constexpr int kLimitShareMin = 8;         // the limit is at least an eighth of the places

  // Both outlive it.
  OverloadControl(const OverloadOptions& options, Gateway* gateway, FrontDoor* door);

  void turn(Micros now);
  OverloadNow now() const;

 private:
  void smaller_chunks(bool on) override;
  void clamp_background(bool on) override;
  void evict_caches(bool on) override;
  void queue(bool on) override;
  void refuse(bool on) override;

  void follow_bounds(Micros now);
  void measure(Micros now);
  void control(Micros now);
  void note(const LimitChange& change);
  void climb(Micros now);
  double queue_fill() const;
  double step_pressure() const;

  const OverloadOptions options_;
  Gateway* const gateway_;
  FrontDoor* const door_;
  AdaptiveLimit limit_;
  BrownOut ladder_;
  RecentLeast baseline_{kBaselineHalfUs};
  Micros period_begun_us_ = 0;
  uint64_t steps_before_ = 0;
  int64_t step_us_before_ = 0;
  double signal_ = 0;       // of the last period; 0: no steps
  bool begun_ = false;

  mutable std::mutex mutex_;
  OverloadNow now_;         // guarded by mutex_
};

}  // namespace weir
