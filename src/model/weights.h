// Weights: every tensor of the model on the device, in the shapes the forward multiplies with.
//
// q, k and v are one matrix, and so are gate and up: one pass over the activations instead of three or two. Tied
// embeddings are stored once, as the packed lm_head, which embed() can read.
#pragma once

#include <functional>
#include <vector>

#include "base/status.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors.h"
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
};

// The float format in which an untied embedding table is kept: int8 would save bytes that are never streamed.
WeightFormat embedding_format(const ModelSpec& spec, WeightFormat format);

// Cuts (or counts) every weight.
Weights cut_weights(const ModelSpec& spec, const ModelOptions& options, const Ops& ops, Cutter* cutter);

// Fills `weights` from the checkpoint, in pieces of rows whose file pages are given back at once, so that the
// resident size never holds two copies. REQUIRES check_tensors() was ok.
// ERRORS: kDataLoss when a norm or bias is not finite.
Status fill_weights(const ModelSpec& spec, Checkpoint& checkpoint, Device& device, Ops& ops, Stream& stream,
                    const std::function<void(double)>& progress, Weights* weights);

}  // namespace weir
