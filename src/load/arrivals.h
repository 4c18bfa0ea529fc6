// Arrivals: when an open loop sends. A value; one thread.
//
// The schedule is fixed by (spec, rate, seed) alone: nothing that a server does can delay an arrival, and latency
// is counted from the scheduled instant, so a stalled server is charged for everyone it kept waiting (no
// coordinated omission).
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "load/random.h"

namespace weir::load {

struct ArrivalSpec {
  enum class Kind { kConstant, kPoisson, kGamma, kBurst };
  Kind kind = Kind::kPoisson;
  double shape = 1;            // gamma: of the gap; the coefficient of variation is 1 / sqrt(shape)
  double on_s = 0, off_s = 0;  // burst: Poisson for on_s, then silence for off_s; the rate is the mean over both
  std::string text = "poisson";

  // constant | poisson | gamma:SHAPE | burst:ON/OFF. ERRORS: kInvalidArgument.
  static Result<ArrivalSpec> parse(std::string_view text);
};

class ArrivalSchedule {
 public:
  // rate_per_s: > 0, the mean number of arrivals in a second.
  ArrivalSchedule(const ArrivalSpec& spec, double rate_per_s, uint64_t seed);

  Micros next_us();  // since the start; never falls

 private:
  double gap();

  const ArrivalSpec spec_;
  const double rate_per_s_;  // of the time that arrivals can fall into: higher than the mean in a burst
  Random random_;
  uint64_t count_ = 0;
  double at_s_ = 0;  // burst: of the time that is on
};

}  // namespace weir::load
