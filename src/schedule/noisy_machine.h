// NoisyMachine: a processor that other work shares, for tests. Burners with a duty cycle of their own take turns
// with the server in slices, as a fair kernel does it, and now and then the machine stalls for longer (a Pareto
// tail). Seeded: the same seed gives the same times everywhere, whatever the machine under the test is doing.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "base/clock.h"

namespace weir::testing_world {

struct NoisyMachineOptions {
  uint64_t seed = 1;
  int burners = 3;  // 0: no other work
  double duty = 0.5;
  double slice_us = 3'000;
  double stall_chance = 0.003;  // of a step; a stall takes 5 ms at least
};

class NoisyMachine {
 public:
  explicit NoisyMachine(const NoisyMachineOptions& options) : options_(options), random_(options.seed) {
    for (int i = 0; i < options.burners; ++i)
      burners_.push_back({50'000 + 250'000 * uniform(), 300'000 * uniform()});
  }

  // Wall time of so much processor time, which begins now.
  Micros run(Micros work_us) {
    const double begin = now_us_;
    for (double left = static_cast<double>(work_us); left > 0;) {
      const double part = std::min(left, slice_left_us_);
      now_us_ += part;
      left -= part;
      slice_left_us_ -= part;
      if (slice_left_us_ > 0) continue;
      now_us_ += options_.slice_us * burning() * (0.7 + 0.6 * uniform());
      slice_left_us_ = options_.slice_us;
    }
    if (options_.burners > 0 && uniform() < options_.stall_chance)
      now_us_ += 5'000 / std::pow(1 - uniform(), 1 / 1.5);
    return static_cast<Micros>(now_us_ - begin);
  }

 private:
  struct Burner {
    double period_us, offset_us;
  };
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  int burning() const {
    int count = 0;
    for (const Burner& one : burners_)
      count += std::fmod(now_us_ + one.offset_us, one.period_us) < options_.duty * one.period_us;
    return count;
  }

  const NoisyMachineOptions options_;
  std::mt19937_64 random_;
  std::vector<Burner> burners_;
  double now_us_ = 0, slice_left_us_ = 3'000;
};

}  // namespace weir::testing_world
