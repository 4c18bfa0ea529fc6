// A model directory of random weights in a real shape, for benchmarks and for load tests that want a step to take a
// while. Any thread; writes files, nothing else.
#pragma once

#include <string>

#include "base/status.h"

namespace weir::testing {

// The shape of Qwen2.5-0.5B (config.json of Qwen/Qwen2.5-0.5B): 494 M parameters, 988 MB as bf16.
extern const char* const kQwenHalfBillionConfig;
// 24 M parameters over the demo model's vocabulary of 2048: a step of 8 rows takes milliseconds.
extern const char* const kSmallConfig;

// Writes `dir`/config.json and `dir`/model.safetensors with bf16 weights of a standard deviation near 0.01, the same
// ones each time. ERRORS: those of parse_config; kFailedPrecondition when the files cannot be written.
Status write_random_checkpoint(const std::string& dir, const std::string& config_json);

}  // namespace weir::testing
