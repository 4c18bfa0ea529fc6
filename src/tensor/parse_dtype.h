// Reading element types from settings and checkpoints. Any thread.
#pragma once

#include <string_view>

#include "base/status.h"
#include "tensor/dtype.h"

namespace weir {

// Case-insensitive; also takes the spellings of checkpoints ("float32", "bfloat16", "F16", "torch.float16").
// ERRORS: kInvalidArgument, naming the accepted words.
Result<DType> parse_dtype(std::string_view word);
Result<WeightFormat> parse_weight_format(std::string_view word);

}  // namespace weir
