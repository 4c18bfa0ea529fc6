// Soak: many small worlds, each drawn from its seed: shape, load and faults. What a server meets in years, in
// seconds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "message/events.h"
#include "sim/run.h"

namespace weir::sim {

struct SoakOptions {
  uint64_t first_seed = 1;
  int64_t seeds = 1;
  int64_t requests = 1000;  // of each seed
  bool faults = true;
};

// The whole world of a seed; the same seed and number of requests give the same one anywhere.
struct SoakWorld {
  RunOptions options;
  Load load;
};
SoakWorld draw_world(uint64_t seed, int64_t requests, bool faults);
// Steps of a made-up machine that take from one to a few milliseconds; shared by all seeds.
const StepProfile& soak_profile();
std::string replay_command(uint64_t seed, int64_t requests, bool faults);

struct SoakResult {
  int64_t seeds = 0, requests = 0, sequences = 0;
  uint64_t steps = 0, faults = 0, preemptions = 0, refusals = 0, drafted_tokens = 0, accepted_tokens = 0;
  std::array<uint64_t, kFinishReasons> finishes{};
  Micros simulated_us = 0;
  double real_seconds = 0;
  std::optional<Violation> violation;
  uint64_t failed_seed = 0;
};
// Stops at the first violation. progress: called after each seed with what there is so far; may be empty.
SoakResult run_soak(const SoakOptions& options, const std::function<void(const SoakResult&)>& progress);

}  // namespace weir::sim
