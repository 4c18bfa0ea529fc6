// Kernels that move data or are cheap, shared by every instruction set, and the accessors that spell out where an
// element of a packed weight lies (used by them and by the scalar reference; kv_access.h does it for the KV cache).
// Thread: any, disjoint ranges. Never included by a per-ISA translation unit: those take portable_kernels.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/portable_kernels.h"
#include "tensor/convert.h"

namespace weir::cpu {

inline float load_element(DType dtype, const uint8_t* at) {
  uint16_t half;
  switch (dtype) {
    case DType::kBF16:
      std::memcpy(&half, at, 2);
      return f32_from_bf16(half);
    case DType::kF16:
      std::memcpy(&half, at, 2);
      return f32_from_f16(half);
    default:
      break;
  }
  float value;
  std::memcpy(&value, at, 4);
  return value;
}

inline void store_element(DType dtype, uint8_t* at, float value) {
  uint16_t half;
  switch (dtype) {
    case DType::kBF16:
      half = bf16_from_f32(value);
      std::memcpy(at, &half, 2);
      return;
    case DType::kF16:
      half = f16_from_f32(value);
      std::memcpy(at, &half, 2);
      return;
    default:
      std::memcpy(at, &value, 4);
  }
}

inline DType element_type(WeightFormat format) {
  return format == WeightFormat::kF32 ? DType::kF32 : format == WeightFormat::kF16 ? DType::kF16 : DType::kBF16;
}
inline int64_t element_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// Float panels: [k][16].
inline float panel_weight(WeightFormat format, const uint8_t* panel, int64_t k, int64_t lane) {
  const DType dtype = element_type(format);
  return load_element(dtype, panel + (k * kPanel + lane) * element_bytes(dtype));
}

// Int8 panels: [k/64]{ int8 [2][8][16][4]; f16 [2][16] }.
inline int64_t panel_int8_offset(int64_t k, int64_t lane) {
  return k / kSuper * kSuperBytes + k % kSuper / 4 * (kPanel * 4) + lane * 4 + k % 4;
}
inline int64_t panel_scale_offset(int64_t group, int64_t lane) {
  return group / 2 * kSuperBytes + kSuper * kPanel + (group % 2 * kPanel + lane) * 2;
}
inline int8_t panel_int8(const uint8_t* panel, int64_t k, int64_t lane) {
  return static_cast<int8_t>(panel[panel_int8_offset(k, lane)]);
}
inline float panel_scale(const uint8_t* panel, int64_t group, int64_t lane) {
  return load_element(DType::kF16, panel + panel_scale_offset(group, lane));
}

}  // namespace weir::cpu
