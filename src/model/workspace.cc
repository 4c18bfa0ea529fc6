#include "model/workspace.h"

#include <algorithm>

namespace weir {

Workspace cut_workspace(const ModelSpec& spec, const ModelOptions& options, const Ops& ops, Cutter* cutter) {
  const int64_t tokens = options.step_tokens_max;
  Workspace w;
  w.tokens = cutter->vec<int32_t>(tokens);
  w.positions = cutter->vec<int32_t>(tokens);
  w.rows = cutter->vec<int32_t>(tokens);
  w.kv_slots = cutter->vec<int32_t>(tokens);
  w.sample_rows = cutter->vec<int32_t>(options.sequences_max);
  w.block_tables = cutter->mat<int32_t>(options.sequences_max, options.blocks_per_sequence());
  w.x = cutter->mat<float>(tokens, spec.hidden);
  w.qkv = cutter->mat<float>(tokens, spec.q_width() + 2 * spec.kv_width());
  w.attended = cutter->mat<float>(tokens, spec.q_width());
  w.gated = cutter->mat<float>(tokens, spec.ffn);
  w.sampled = cutter->mat<float>(options.sequences_max, spec.hidden);
  uint64_t scratch =
      ops.attention_workspace_bytes(tokens, spec.heads, spec.head_dim, options.session_tokens);
  for (const int64_t k : {spec.hidden, spec.q_width(), spec.ffn}) {
    scratch = std::max(scratch, ops.linear_workspace_bytes(std::max(tokens, options.sequences_max), k));
  }
  w.scratch = cutter->bytes(scratch);
  return w;
}

}  // namespace weir
