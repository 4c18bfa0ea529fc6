// StepProfile: how long a step takes, as the simulator believes. Measured on a machine, or the roofline of a GPU.
//
// A value without state; any thread. step_us() is at least 1 and deterministic.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace weir {
struct Step;
}

namespace weir::sim {

// What of a step decides its time.
struct StepShape {
  int64_t tokens = 0;           // computed
  int64_t samples = 0;          // rows whose logits are wanted
  int64_t attended_tokens = 0;  // sum over the tokens of the positions that each looks at, its own included
  int64_t context_tokens = 0;   // sum over the sequences of the positions whose KV is read
};
StepShape shape_of(const Step& step);

class StepProfile {
 public:
  virtual ~StepProfile() = default;
  virtual Micros step_us(const StepShape& shape) const = 0;
  virtual std::string description() const = 0;  // one line
  virtual int64_t kv_tokens() const = 0;        // that fit its memory; 0: it does not say
};

// ---- Roofline (Williams, Waterman, Patterson, CACM 2009) ----
// time = overhead + max(bytes / (bandwidth x share), operations / (peak x share))
//   bytes      = weights + context_tokens x KV bytes of a token
//   operations = 2 x parameters x tokens + 4 x layers x query width x attended_tokens
// The shares of the peaks that kernels reach are an assumption, not a measurement.
struct Gpu {
  std::string name;      // "h200"
  double bytes = 0;      // of memory
  double bandwidth = 0;  // bytes a second
  double peak = 0;       // dense 16-bit operations a second
};
struct ModelShape {
  std::string name;  // "8B"
  double parameters = 0;
  int layers = 0, query_width = 0, kv_width = 0;  // widths: heads x head size
};
struct RooflineOptions {
  double bandwidth_share = 0.8, peak_share = 0.5;
  double overhead_us = 200;               // of a step: launches and the engine's own work
  double memory_share = 0.9;              // of the memory: weights and KV
  double weight_bytes = 2, kv_bytes = 2;  // per parameter and per KV element
};
// Names without case. ERRORS: kInvalidArgument, naming those that are known; kFailedPrecondition when the weights
// do not fit the memory.
Result<std::unique_ptr<StepProfile>> make_roofline(const std::string& gpu, const std::string& model,
                                                   const RooflineOptions& options);
const std::vector<Gpu>& known_gpus();
const std::vector<ModelShape>& known_models();

// ---- Measured ----
// time = curve(tokens) + sample_us x samples + attended_us x attended_tokens + context_us x context_tokens, where
// the curve is linear between the measured numbers of tokens; fitted to the points by least squares of the relative
// error.
struct MeasuredPoint {
  StepShape shape;
  double us = 0;
};
// A file as bench_step_profile writes it (TOML: machine, model, kv-tokens, points). Not trusted.
// ERRORS: kNotFound, kInvalidArgument with the line or the point.
Result<std::unique_ptr<StepProfile>> read_profile(const std::string& path);
Result<std::unique_ptr<StepProfile>> fit_profile(const std::vector<MeasuredPoint>& points, std::string description,
                                                 int64_t kv_tokens);

}  // namespace weir::sim
