// Outcome: what a run of the simulator was, in numbers. A value; reports are made from it (report.h, svg.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "admission/front_door.h"
#include "message/events.h"
#include "sim/run.h"

namespace weir::sim {

// One admitted sequence, when its place went back.
struct SequenceRecord {
  Micros arrival_us = 0;
  Micros start_wait_us = -1;   // from arrival to the first step that computed it; -1: it never ran
  Micros first_token_us = -1;  // from arrival until its client had it; -1: none came
  Micros last_token_us = -1;
  int32_t prompt_tokens = 0, output_tokens = 0;  // output: read by the client
  int32_t tenant = 0, class_index = 0;
  FinishReason reason = FinishReason::kNone;
  bool left = false;  // the client had gone before the end
  bool late = false;  // its answer came after its deadline

  bool answered() const { return !left && (reason == FinishReason::kStop || reason == FinishReason::kLength); }
  // Between two tokens, at the mean; -1: fewer than two came.
  double token_gap_us() const {
    if (output_tokens < 2) return -1;
    return static_cast<double>(last_token_us - first_token_us) / (output_tokens - 1);
  }
};

struct LoadSample {
  Micros at_us = 0;
  int32_t waiting = 0, running = 0;
  int32_t blocks_live = 0, blocks_kept = 0, blocks_total = 0;
};

struct TenantService {
  double contended =
      0;  // 1 per prompt token and 2 per output token, in steps before which every tenant had someone waiting
  int64_t prompt_tokens = 0, output_tokens = 0;
};

struct Outcome {
  std::optional<Violation> violation;
  uint64_t event_hash = 0xcbf29ce484222325ull;  // of everything that happened, in order: the same run has the same
  int64_t offered = 0;                          // requests
  int64_t gone_before_admission = 0;
  int64_t submitted = 0, ended = 0;  // sequences
  std::array<uint64_t, static_cast<size_t>(Refusal::kCount)> refusals{};
  std::array<uint64_t, kFinishReasons> finishes{};
  std::vector<SequenceRecord> records;
  std::vector<LoadSample> samples;
  std::vector<TenantService> tenants;
  uint64_t steps = 0, turns = 0, faults = 0;
  Micros simulated_us = 0, busy_us = 0;
  uint64_t prompt_tokens = 0, output_tokens = 0, preemptions = 0, recomputed_tokens = 0;
  uint64_t prefix_lookup_tokens = 0, prefix_hit_tokens = 0, prefix_evictions = 0, ring_stalls = 0;
  uint64_t drafted_tokens = 0, accepted_tokens = 0;
  double real_seconds = 0;  // the only member that differs between two runs of a seed
};

}  // namespace weir::sim
