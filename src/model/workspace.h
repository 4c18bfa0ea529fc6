// Workspace: the activations and inputs of one step, cut once for the largest step.
#pragma once

#include "checkpoint/model_spec.h"
#include "kernels/ops.h"
#include "model/cutter.h"
#include "model/options.h"

namespace weir {

struct Workspace {
  // Inputs, written by the host each step.
  VecView<int32_t> tokens, positions, rows, kv_slots;  // [step_tokens_max]
  VecView<int32_t> sample_rows;                        // [sequences_max]
  MatView<int32_t> block_tables;                       // [sequences_max, blocks_per_sequence]
  // Activations, f32.
  MatView<float> x;        // [tokens, hidden] the residual stream
  MatView<float> qkv;      // [tokens, q + 2 kv]
  MatView<float> attended; // [tokens, q]
  MatView<float> gated;    // [tokens, ffn] silu(gate) * up
  MatView<float> sampled;  // [sequences_max, hidden]
  DeviceSpan scratch;      // of linear and attention, never both at once
};

Workspace cut_workspace(const ModelSpec& spec, const ModelOptions& options, const Ops& ops, Cutter* cutter);

}  // namespace weir
