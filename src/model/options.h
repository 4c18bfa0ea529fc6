// ModelOptions: the sizes a Transformer is built for. A value; comes from the settings and the plan.
#pragma once

#include <cstdint>

#include "kernels/kv_layer.h"
#include "tensor/dtype.h"

namespace weir {

struct ModelOptions {
  WeightFormat format = WeightFormat::kBF16;  // of the matrices
  KvFormat kv_format = KvFormat::kBF16;
  int64_t session_tokens = 0;   // longest sequence; the rotary tables have so many positions
  int64_t block_tokens = 64;
  int64_t step_tokens_max = 0;  // tokens of one forward
  int64_t sequences_max = 0;    // sequences of one forward; each samples at most one row, and one for each draft
  int64_t drafts_max = 0;       // drafts of one forward, all sequences together

  int64_t sample_rows_max() const { return sequences_max + drafts_max; }
  int64_t blocks_per_sequence() const { return (session_tokens + block_tokens - 1) / block_tokens; }
};

}  // namespace weir
