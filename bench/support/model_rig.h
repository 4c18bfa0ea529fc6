// ModelRig: a model directory loaded with one weight format and one KV format, and steps of it as the executor
// would run them; what a step must at least move and compute. For bench_model. One thread.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "support/machine.h"

namespace weir::bench {

struct RigOptions {
  WeightFormat format = WeightFormat::kBF16;
  KvFormat kv = KvFormat::kBF16;
  int64_t session_tokens = 0;  // longest context, the new token included
  int64_t kv_tokens = 0;       // of all sequences of the largest step, each rounded up to blocks
  int64_t sequences = 1;
  bool cpu_time = false;
};

// Like sequences of one step: `batch` of them, each with `count` new tokens from `position` on.
struct StepShape {
  int64_t batch = 1, count = 1, position = 0;
};

class ModelRig {
 public:
  static constexpr int64_t kBlockTokens = 64, kStepTokens = 512;

  ModelRig(const std::string& dir, const RigOptions& options, Backend* backend)
      : options_(options), backend_(backend), spec_(take(load_spec(dir))) {
    sizes_ = {.format = options.format,
              .kv_format = options.kv,
              .session_tokens = options.session_tokens,
              .block_tokens = kBlockTokens,
              .step_tokens_max = kStepTokens,
              .sequences_max = options.sequences};
    const auto checkpoint = take(Checkpoint::open(dir));
    model_ = take(Transformer::load(spec_, sizes_, *checkpoint, *backend, nullptr));
    const int64_t blocks = (options.kv_tokens + kBlockTokens - 1) / kBlockTokens;
    kv_ = take(backend->device().reserve(static_cast<uint64_t>(blocks) * block_bytes()));
    model_->attach_kv(kv_.span(), blocks);
    for (int64_t b = 0; b < blocks; ++b) ids_.push_back(static_cast<int32_t>(b));
  }

  // A prefill longer than a step goes in chunks, as the scheduler would cut it. RETURNS: seconds.
  double step(const StepShape& shape) {
    double seconds = 0;
    for (int64_t done = 0; done < shape.count; done += kStepTokens) {
      const int64_t now = std::min(kStepTokens, shape.count - done);
      seconds += chunk({shape.batch, now, shape.position + done}, blocks_of(shape), done + now == shape.count);
    }
    return seconds;
  }

  // The least time that the machine's peaks leave: bytes of weights and KV over the read bandwidth, or operations
  // over the mix that the kernels use (attention: over the f32 multiply-adds), whichever is more.
  double floor_seconds(const StepShape& shape, const Machine& machine) const {
    const std::string isa = isa_of(backend_->description());
    const double linear = machine.linear_peak(isa, sizes_.format, true), fma = machine.fma_peak(isa);
    const auto tokens = static_cast<double>(shape.batch * shape.count);
    const double matmuls = 2 * (layer_weights() * tokens + head_weights() * static_cast<double>(shape.batch));
    const double seen = static_cast<double>(shape.position) + static_cast<double>(shape.count + 1) / 2;
    const double attention = 4 * seen * tokens * static_cast<double>(spec_.q_width() * spec_.layers);
    const double compute = linear > 0 ? matmuls / linear + attention / fma : 0;
    const double kv = static_cast<double>(shape.batch * (shape.position + shape.count)) * kv_token_bytes();
    return std::max(compute, (static_cast<double>(streamed_bytes()) + kv) / machine.read_all);
  }

  uint64_t streamed_bytes() const {  // of packed weights, by a step that samples
    const Ops& ops = backend_->ops();
    const auto bytes = [&](int64_t n, int64_t k) { return ops.packed_bytes(sizes_.format, n, k); };
    const uint64_t layer = bytes(spec_.q_width() + 2 * spec_.kv_width(), spec_.hidden) +
                           bytes(spec_.hidden, spec_.q_width()) + bytes(swiglu_rows(spec_.ffn), spec_.hidden) +
                           bytes(spec_.hidden, spec_.ffn);
    return static_cast<uint64_t>(spec_.layers) * layer + bytes(spec_.vocab, spec_.hidden);
  }
  double bits_per_weight() const {
    return 8 * static_cast<double>(streamed_bytes()) / (layer_weights() + head_weights());
  }
  double kv_token_bytes() const { return static_cast<double>(block_bytes()) / kBlockTokens; }
  const ModelSpec& spec() const { return spec_; }

  static int64_t blocks_of(const StepShape& shape) {
    return (shape.position + shape.count + kBlockTokens - 1) / kBlockTokens;
  }

 private:
  template <class T>
  static T take(Result<T> result) {
    if (!result.ok()) {
      std::fprintf(stderr, "bench_model: %s\n", result.status().message().c_str());
      std::exit(1);
    }
    return std::move(result).value();
  }

  double chunk(const StepShape& shape, int64_t blocks, bool samples_now) {
    std::vector<int32_t> tokens, positions, rows, samples;
    std::vector<std::span<const int32_t>> tables;
    for (int64_t s = 0; s < shape.batch; ++s) {
      for (int64_t i = 0; i < shape.count; ++i) {
        tokens.push_back(static_cast<int32_t>((s * 7919 + i * 104729 + shape.position) % spec_.vocab));
        positions.push_back(static_cast<int32_t>(shape.position + i));
        rows.push_back(static_cast<int32_t>(s));
      }
      if (samples_now) samples.push_back(static_cast<int32_t>(tokens.size()) - 1);
      tables.push_back(
          std::span<const int32_t>(ids_).subspan(static_cast<size_t>(s * blocks), static_cast<size_t>(blocks)));
    }
    const StepScope scope(backend_);
    const double begin = now_seconds(options_.cpu_time);
    const auto logits = model_->forward(
        {.tokens = tokens, .positions = positions, .rows = rows, .block_tables = tables, .sample_rows = samples});
    if (!logits.ok()) std::exit(1);
    return now_seconds(options_.cpu_time) - begin;
  }

  uint64_t block_bytes() const { return Transformer::needs(spec_, sizes_, backend_->ops()).kv_block; }
  double layer_weights() const {
    const int64_t layer = (spec_.q_width() + 2 * spec_.kv_width()) * spec_.hidden + spec_.hidden * spec_.q_width() +
                          3 * spec_.ffn * spec_.hidden;
    return static_cast<double>(spec_.layers * layer);
  }
  double head_weights() const { return static_cast<double>(spec_.vocab * spec_.hidden); }

  const RigOptions options_;
  Backend* const backend_;
  const ModelSpec spec_;
  ModelOptions sizes_;
  std::unique_ptr<Transformer> model_;
  Region kv_;
  std::vector<int32_t> ids_;
};

}  // namespace weir::bench
