// Transformer: the one forward pass, written against ModelSpec; Llama, Qwen2 and Qwen3 differ by flags, not by code.
//
// Owner: server/, through the executor. Thread: load() on the main thread, everything else on the executor thread.
// Limits: sizes are fixed at load by ModelOptions; all memory is cut from Regions reserved once, whose sizes
// needs() states beforehand with the same cutting code (cut_weights, cut_workspace in size-only mode), so that the
// plan cannot drift from use. It never takes KV blocks: the caller says which blocks a token's sequence has.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/stop_word.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors.h"
#include "kernels/backend.h"
#include "model/weight_load.h"
#include "model/weights.h"
#include "model/workspace.h"

namespace weir {

// Bytes, each a line of the plan.
struct ModelNeeds {
  uint64_t weights = 0;      // packed weights, norms, biases, rotary tables
  uint64_t workspace = 0;    // activations of one step, inputs of one step
  uint64_t logits = 0;       // [sample_rows_max, vocab] f32
  uint64_t loading = 0;      // beside the weights while they are loaded
  uint64_t kv_block = 0;     // one block, all layers, scales of a quantised cache and padding included
};

// One step's tokens; the same layout as schedule/step.h without its scheduling.
struct ForwardBatch {
  std::span<const int32_t> tokens;       // [tokens] ids, 0 <= id < vocab
  std::span<const int32_t> positions;    // [tokens]
  std::span<const int32_t> rows;         // [tokens] index of its sequence
  std::span<const std::span<const int32_t>> block_tables;  // [sequences] block ids by position / block_tokens
  std::span<const int32_t> sample_rows;  // token indices whose logits are wanted
  const StopWord* stop = nullptr;        // looked at between two layers; may be null
};

class Transformer {
 public:
  // Pure; nothing is loaded or allocated.
  static ModelNeeds needs(const ModelSpec& spec, const ModelOptions& options, const Ops& ops);

  // ERRORS: those of check_tensors; kResourceExhausted when the memory is not there; kDataLoss for a weight that is
  // not a finite number.
  static Result<std::unique_ptr<Transformer>> load(const ModelSpec& spec, const ModelOptions& options,
                                                   Checkpoint& checkpoint, Backend& backend, const LoadProgress& progress,
                                                   const WeightCacheUse& cache = {});

  // kv: a region of at least kv_blocks x needs().kv_block bytes; kept until the Transformer dies.
  void attach_kv(DeviceSpan kv, int64_t kv_blocks);

  // Copies all layers of one block to another, before what the next forward() writes. REQUIRES: both are attached.
  void copy_block(int64_t from, int64_t to);

  // Computes KV for every token and logits for sample_rows. RETURNS: [sample_rows, vocab] f32 in host memory, valid
  // and writable until the next call; never allocates.
  // ERRORS: kCancelled when batch.stop was said: some layers of the KV are written, and writing them again gives the same bits.
  Result<std::span<float>> forward(const ForwardBatch& batch);

  const ModelSpec& spec() const { return spec_; }
  const ModelOptions& options() const { return options_; }

 private:
  Transformer(const ModelSpec& spec, const ModelOptions& options, Backend& backend);
  void upload(const ForwardBatch& batch);
  void layer(int64_t index, int64_t tokens);
  void attention_block(int64_t index, int64_t tokens);
  void ffn_block(int64_t index, int64_t tokens);
  Result<std::span<float>> read_logits(int64_t tokens, int64_t samples);

  const ModelSpec spec_;
  const ModelOptions options_;
  Backend& backend_;
  std::unique_ptr<Stream> stream_;
  Region weight_region_, workspace_region_, logits_region_;
  Weights weights_;
  Workspace work_;
  MatView<float> logits_;
  std::vector<float> host_logits_;  // only where the host cannot reach the device's memory
  std::vector<int32_t> staging_;    // kv slots, computed per step
  DeviceSpan kv_;
  int64_t kv_blocks_ = 0;
  uint64_t kv_block_bytes_ = 0;
};

}  // namespace weir
