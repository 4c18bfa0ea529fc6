// Quantises a group of weights to 4 or 8 bits. Pure; compiled for the baseline CPU; the same bits everywhere (sums have
// a written order, and nothing is contracted).
#pragma once

#include <cstdint>

namespace weir::cpu {

constexpr int64_t kQuantGroupMax = 64;

struct QuantisedGroup {
  uint8_t q[kQuantGroupMax];  // int8: two's complement; int4: [0, 15]
  uint16_t scale = 0;         // f16
  uint8_t zero = 0;           // int4 with zeros
};

// x: [count] floats, 1 <= count <= 64; a NaN counts as 0, and what f16 scales cannot reach is clamped. *out is all zero
// before.
// w = scale * q, q in [-127, 127], scale = amax / 127 rounded to f16; the integers refer to the rounded scale.
void quantise_int8(const float* x, int64_t count, QuantisedGroup* out);
// w = scale * (q - 8). The scale is the one of a few candidates around amax / 8 (its extreme at q = 0) and of the
// least-squares fit to the best of them that leaves the smallest squared error.
void quantise_int4(const float* x, int64_t count, QuantisedGroup* out);
// w = scale * (q - zero). Scale and zero span the range (0 included), or the part of it with the smallest error.
void quantise_int4_zero(const float* x, int64_t count, QuantisedGroup* out);

}  // namespace weir::cpu
