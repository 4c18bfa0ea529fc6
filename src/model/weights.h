// Weights: every tensor of the model on the device, in the shapes the forward multiplies with.
//
// q, k and v are one matrix, and so are gate and up: one pass over the activations instead of three or two. Tied
// embeddings are stored once, as the packed lm_head, which embed() can read.
#pragma once

#include <functional>
#include <vector>

#include "base/status.h"
#include "base/units.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors.h"
#include "kernels/backend.h"
#include "kernels/ops.h"
#include "model/cutter.h"
#include "model/options.h"

namespace weir {

struct LayerWeights {
  VecView<float> attention_norm, ffn_norm;      // [hidden]
  VecView<float> q_norm, k_norm;                // [head_dim], Qwen3 only
  PackedWeight qkv, output, gate_up, down;      // [q+2kv, hidden] [hidden, q] [swiglu_rows(ffn), hidden] [hidden, ffn]
  VecView<float> qkv_bias, output_bias, gate_up_bias, down_bias;  // empty where the family has none
};

struct Weights {
  std::vector<LayerWeights> layers;
  PackedWeight head;       // [vocab, hidden]
  PackedWeight embedding;  // the same storage as head when tied
  VecView<float> final_norm;
  MatView<float> rope_cos, rope_sin;  // [session_tokens, head_dim / 2]
  // Bytes at the front of the region that follow from checkpoint, format and layout alone: all but the rotary tables,
  // which are last because they follow the session's length. Padding in them is zero. This is what a cache keeps.
  uint64_t stored_bytes = 0;
};

// Goes up when the order of cut_weights() or what fill_weights() puts where changes, so that a weight cache of an older
// weir is not used; weight_load_test.cc fails when the bytes change and neither this nor the packing's version does.
constexpr uint32_t kWeightOrderVersion = 1;

// What loading takes beside the weights: one piece of the checkpoint, one vector as f32, the threads and books of
// the weight cache. A line of the plan; weight_load_test.cc holds loading to it.
constexpr uint64_t kLoadingBytes = 24 * kMiB;

// The float format in which an untied embedding table is kept: quantising it would save bytes that are never streamed.
WeightFormat embedding_format(const ModelSpec& spec, WeightFormat format);

// Cuts (or counts) every weight.
Weights cut_weights(const ModelSpec& spec, const ModelOptions& options, const Ops& ops, Cutter* cutter);

// Fills all of `weights` that the checkpoint has, in the order in which it lies in the files, so that a disk reads
// forwards; in pieces of rows, which all workers read and pack while the kernel reads the next ones into its cache.
// REQUIRES check_tensors() was ok; the region is zero. progress: from 0 to 1, by bytes of the checkpoint.
// ERRORS: kDataLoss when a norm or bias is not finite, or a file was cut or written to while it was read.
Status fill_weights(const ModelSpec& spec, const Checkpoint& checkpoint, Backend& backend, Stream& stream,
                    const std::function<void(double)>& progress, Weights* weights);

// The rotary tables, which come from the spec.
void fill_tables(const ModelSpec& spec, Device& device, Stream& stream, Weights* weights);

}  // namespace weir
