// LinearEnd: what happens to a finished sum of a linear. A value; shared by the op header and the kernel tables, hence
// without anything inline.
#pragma once

#include <cstdint>

namespace weir {

enum class LinearEnd : uint8_t {
  kStore,
  kAccumulate,  // added to what is there: the residual, without a second pass
  kSwiglu,      // panels of 16 rows are gates and ups in turn (packed_weight.h): out = silu(gate) * up
};

}  // namespace weir
