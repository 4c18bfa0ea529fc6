// ModelExecutor: Step -> forward -> sampled tokens.
//
// Owner: server/. Thread: the engine thread, which is worker 0 of the backend's pool. Everything is sized in the
// constructor for the Transformer's options; run() never allocates. Rows are sampled by several workers at once
// (sampler_count() of them); who samples which does not change a token.
#pragma once

#include <vector>

#include "engine/executor.h"
#include "model/transformer.h"
#include "sampling/sampler.h"

namespace weir {

class ModelExecutor final : public Executor {
 public:
  // kv: the region that is attached to the model; its owner outlives this.
  ModelExecutor(Transformer* model, Backend* backend, Region* kv, std::vector<int32_t> eos_ids);
  // threads: the backend's.
  static uint64_t bytes(const ModelSpec& spec, const ModelOptions& options, int threads);  // for the plan

  // Rows that are sampled at once: as many as there are workers and places, 16 at most, which is 3.6 MB of scratch each for
  // 152 thousand tokens.
  static int sampler_count(const ModelOptions& options, int threads);

  void bind_thread() override { backend_->bind_calling_thread(); }
  Status run(const Step& step, std::span<StepResult> results) override;
  // The thread that calls is worker 0 and does its share of every op. It does more of it where another worker has
  // lost its processor, which the step-time model takes for noise.
  bool computes_here() const override { return true; }
  void copy_blocks(std::span<const BlockCopy> copies) override;
  Status resize_kv(int64_t blocks) override;
  uint64_t block_bytes() const override { return block_bytes_; }

 private:
  struct Sampled {
    size_t index, first_row;  // of the sequence in the step; its first row of logits
  };

  Transformer* const model_;
  Backend* const backend_;
  Region* const kv_;
  const uint64_t block_bytes_;
  const std::vector<int32_t> eos_ids_;
  std::vector<SamplerScratch> scratch_;  // one for each row that is sampled at the same time
  std::vector<Sampled> sampled_;         // sequences of the step that sample
  std::vector<std::span<const int32_t>> block_tables_;
  std::vector<int32_t> sample_rows_;
};

}  // namespace weir
