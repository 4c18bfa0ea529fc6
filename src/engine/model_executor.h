// ModelExecutor: Step -> forward -> sampled tokens.
//
// Owner: server/. Thread: the engine thread, which is worker 0 of the backend's pool. Everything is sized in the
// constructor for the Transformer's options; run() never allocates.
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
  static uint64_t bytes(const ModelSpec& spec, const ModelOptions& options);  // for the plan

  void bind_thread() override { backend_->bind_calling_thread(); }
  Status run(const Step& step, std::span<StepResult> results) override;
  void copy_blocks(std::span<const BlockCopy> copies) override;
  Status resize_kv(int64_t blocks) override;
  uint64_t block_bytes() const override { return block_bytes_; }

 private:
  Transformer* const model_;
  Backend* const backend_;
  Region* const kv_;
  const uint64_t block_bytes_;
  const std::vector<int32_t> eos_ids_;
  SamplerScratch scratch_;
  std::vector<std::span<const int32_t>> block_tables_;
  std::vector<int32_t> sample_rows_;
};

}  // namespace weir
