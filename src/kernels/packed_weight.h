// PackedWeight: a weight matrix [n, k] in the layout its backend multiplies fastest. Opaque outside kernels/.
// A view: the bytes belong to an arena of the memory room, at an address aligned to 64. Any thread may copy it.
#pragma once

#include <cstdint>

#include "device/device.h"
#include "tensor/dtype.h"

namespace weir {

struct PackedWeight {
  WeightFormat format = WeightFormat::kF32;
  int64_t n = 0;    // outputs, rows of the checkpoint's matrix; 1 <= n < 2^31
  int64_t k = 0;    // inputs, its columns; 1 <= k < 2^31
  DeviceSpan data;  // at least Ops::packed_bytes(format, n, k)
};

// Host rows of a checkpoint on their way into `dst`. Several matrices may be fused by packing them at different
// row_begin of one weight: q, k, v. Gate and up are fused by panels of 16 rows in turn (kGate, kUp), as linear's
// `swiglu` wants them: dst.n is then swiglu_rows(rows of one of them).
struct PackRowsArgs {
  enum class Part : uint8_t { kWhole, kGate, kUp };

  const void* rows = nullptr;  // [row_count, dst.k] in `dtype`, host memory, any alignment
  DType dtype = DType::kF32;   // f32, f16 or bf16
  int64_t row_begin = 0;       // of the matrix: of dst where it is whole
  int64_t row_count = 0;
  PackedWeight dst;
  Part part = Part::kWhole;
  int64_t rows_all = 0;  // kGate, kUp: rows of the matrix
};

// Rows of a weight that holds gate and up, `rows` each, in panels of 16 in turn; what is left of the last two is zero.
constexpr int64_t swiglu_rows(int64_t rows) { return (rows + 15) / 16 * 32; }

}  // namespace weir
