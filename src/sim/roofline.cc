#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "schedule/step.h"
#include "sim/profile.h"

namespace weir::sim {
namespace {

class Roofline final : public StepProfile {
 public:
  Roofline(const Gpu& gpu, const ModelShape& model, const RooflineOptions& options)
      : gpu_(gpu), model_(model), options_(options) {
    weights_ = model.parameters * options.weight_bytes;
    kv_token_bytes_ = 2.0 * model.layers * model.kv_width * options.kv_bytes;
  }

  Micros step_us(const StepShape& shape) const override {
    const double bytes = weights_ + static_cast<double>(shape.context_tokens) * kv_token_bytes_;
    const double operations = 2 * model_.parameters * static_cast<double>(shape.tokens) +
                              4.0 * model_.layers * model_.query_width * static_cast<double>(shape.attended_tokens);
    const double seconds = std::max(bytes / (gpu_.bandwidth * options_.bandwidth_share),
                                    operations / (gpu_.peak * options_.peak_share));
    return std::max<Micros>(1, static_cast<Micros>(seconds * 1e6 + options_.overhead_us));
  }
  std::string description() const override {
    return fmt::format("roofline of {} with {} ({:.0f}% of {:.2f} TB/s, {:.0f}% of {:.0f} TFLOP/s)", gpu_.name,
                       model_.name, 100 * options_.bandwidth_share, gpu_.bandwidth / 1e12,
                       100 * options_.peak_share, gpu_.peak / 1e12);
  }
  int64_t kv_tokens() const override {
    return static_cast<int64_t>((gpu_.bytes * options_.memory_share - weights_) / kv_token_bytes_);
  }

 private:
  const Gpu gpu_;
  const ModelShape model_;
  const RooflineOptions options_;
  double weights_ = 0, kv_token_bytes_ = 0;
};

bool same_name(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

template <class T>
Result<T> find_named(const std::vector<T>& list, const std::string& name, const char* what) {
  std::string known;
  for (const T& one : list) {
    if (same_name(one.name, name)) return one;
    known += (known.empty() ? "" : ", ") + one.name;
  }
  return invalid_argument(fmt::format("'{}' is no {} of the list; choose one of {}, or --profile FILE",
                                      name.substr(0, 40), what, known));
}

}  // namespace

// NVIDIA's data sheets: memory, memory bandwidth and dense FP16/BF16 tensor operations (half of the figure "with
// sparsity"), SXM form where there are several.
const std::vector<Gpu>& known_gpus() {
  static const std::vector<Gpu> gpus = {
      {"h200", 141e9, 4.8e12, 989e12},   // H200 Tensor Core GPU data sheet
      {"h100", 80e9, 3.35e12, 989e12},   // H100 Tensor Core GPU data sheet, SXM
      {"a100", 80e9, 2.039e12, 312e12},  // A100 80GB data sheet, SXM
      {"l40s", 48e9, 0.864e12, 362e12},  // L40S data sheet
      {"a10", 24e9, 0.6e12, 125e12},     // A10 data sheet
      {"l4", 24e9, 0.3e12, 121e12},      // L4 data sheet
      {"t4", 16e9, 0.32e12, 65e12},      // T4 data sheet
  };
  return gpus;
}

// From the models' config.json: num_hidden_layers, num_attention_heads and num_key_value_heads x head size.
const std::vector<ModelShape>& known_models() {
  static const std::vector<ModelShape> models = {
      {"0.5B", 0.494e9, 24, 14 * 64, 2 * 64},   // Qwen2.5-0.5B
      {"1.5B", 1.54e9, 28, 12 * 128, 2 * 128},  // Qwen2.5-1.5B
      {"3B", 3.21e9, 28, 24 * 128, 8 * 128},    // Llama-3.2-3B
      {"7B", 7.62e9, 28, 28 * 128, 4 * 128},    // Qwen2.5-7B
      {"8B", 8.03e9, 32, 32 * 128, 8 * 128},    // Llama-3.1-8B
      {"14B", 14.8e9, 48, 40 * 128, 8 * 128},   // Qwen2.5-14B
      {"32B", 32.8e9, 64, 40 * 128, 8 * 128},   // Qwen2.5-32B
      {"70B", 70.6e9, 80, 64 * 128, 8 * 128},   // Llama-3.1-70B
  };
  return models;
}

Result<std::unique_ptr<StepProfile>> make_roofline(const std::string& gpu, const std::string& model,
                                                   const RooflineOptions& options) {
  WEIR_ASSIGN_OR_RETURN(const Gpu found_gpu, find_named(known_gpus(), gpu, "GPU"));
  WEIR_ASSIGN_OR_RETURN(const ModelShape found_model, find_named(known_models(), model, "model size"));
  std::unique_ptr<StepProfile> profile = std::make_unique<Roofline>(found_gpu, found_model, options);
  if (profile->kv_tokens() < 1) {
    return failed_precondition(
        fmt::format("{} at {:g} bytes a weight does not fit the {:.0f} GB of {}; choose a smaller model, fewer "
                    "--weight-bits or "
                    "another GPU",
                    found_model.name, options.weight_bytes, found_gpu.bytes / 1e9, found_gpu.name));
  }
  return profile;
}

StepShape shape_of(const Step& step) {
  StepShape shape;
  for (const StepSequence& part : step.sequences) {
    const int64_t count = part.token_count, begin = part.position_begin;
    shape.tokens += count;
    shape.samples += part.samples ? 1 + part.draft_count() : 0;
    shape.attended_tokens += count * begin + count * (count + 1) / 2;
    shape.context_tokens += begin + count;
  }
  return shape;
}

}  // namespace weir::sim
