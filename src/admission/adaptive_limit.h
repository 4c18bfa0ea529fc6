// AdaptiveLimit: how many sequences should run side by side, so that a step stays within its target and no place is
// left empty while others wait.
//
// A controller, asked once per control period with a normalised step time (1 is on target): above the band the
// limit is cut in proportion to the excess, below it and while others wait it grows. The shape is Breakwater's (Cho
// et al., "Overload Control for us-scale RPCs with Breakwater", OSDI 2020, section 4.1): credits are multiplied by
// 1 - min(beta * excess, 0.5), and grow where the delay is below its target. Two things differ, for a step time
// answers in one period where a queue takes many. First, the excess is measured against what was measured, (signal
// - 1) / signal: for a step time of a + b * running with any a >= 0 that never cuts too deep, so it cannot
// oscillate. Second, a and b are fitted to the last periods, and once they are known the limit goes to where the
// line meets the target instead of creeping there; a cut may then be deeper than half. That is what settles within
// three periods.
//
// Every step starts from what really runs and not from the limit: a lower limit ends nobody, so running sequences
// stay above it for a while, and cutting the limit again for the same sequences would wind it down to nothing.
//
// Owner: one thread (the monitor's, or the simulator's). Pure: no clock, no I/O, no allocation. Limits: the bounds,
// from the plan and the operator. Readings that are not finite or not positive move nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace weir {

enum class LimitReason : uint8_t {
  kOverTarget,  // steps took longer than the target
  kDemand,      // steps were within the target and others waited
  kBounds,      // the bounds moved
};
inline constexpr int kLimitReasons = static_cast<int>(LimitReason::kBounds) + 1;
const char* limit_reason_name(LimitReason reason);  // "over_target", "demand", "bounds"

struct AdaptiveReading {
  double signal = 0;          // mean step time of the period over its target; 0: no step ran
  Micros queue_delay_us = 0;  // how long one that came now would wait for its start
  int running = 0, waiting = 0;
};

// One line of the audit.
struct LimitChange {
  Micros at_us = 0;
  int from = 0, to = 0;
  double signal = 0;
  Micros queue_delay_us = 0;
  LimitReason reason = LimitReason::kBounds;
};

struct AdaptiveOptions {
  int limit_min = 1, limit_max = 1;  // 1 <= limit_min <= limit_max
  double over = 1.05, under = 0.88;  // of the signal: between them nothing moves
  double aim = 0.97;                 // where a step of the limit wants to arrive
  double cut_max = 0.5;              // of what runs, in one period, while the plant is not known
  double known_cut_max = 0.8;
  double growth_max = 2;            // factor in one period
  Micros demand_delay_us = 20'000;  // a queue that turns over faster is no reason to grow
};

class AdaptiveLimit {
 public:
  explicit AdaptiveLimit(const AdaptiveOptions& options);

  // Once per control period. RETURNS: the change, where there is one.
  std::optional<LimitChange> period(const AdaptiveReading& reading, Micros now);
  // REQUIRES: 1 <= limit_min <= limit_max. A limit that stood at the old upper bound moves with it.
  std::optional<LimitChange> set_bounds(int limit_min, int limit_max, Micros now);

  int limit() const { return limit_; }
  int limit_min() const { return options_.limit_min; }
  int limit_max() const { return options_.limit_max; }

 private:
  // Sums of the last periods' (running, signal), older ones fading, for the line through them.
  struct Line {
    double weight = 0, n = 0, s = 0, nn = 0, ns = 0;
    void add(double running, double signal);
    std::optional<double> expected(double running) const;
    std::optional<double> slope(double running, double signal) const;
  };

  double wanted(double running, double signal, double slope) const;
  std::optional<LimitChange> move(double to, const AdaptiveReading& reading, LimitReason reason, Micros now);

  AdaptiveOptions options_;
  int limit_;
  Line line_;
};

}  // namespace weir
