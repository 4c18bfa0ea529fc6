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

// Quantised panels: QuantLayout.
inline const QuantLayout& quant_layout(WeightFormat format) {
  switch (format) {
    case WeightFormat::kInt4G32:
      return kInt4G32Layout;
    case WeightFormat::kInt4G64:
      return kInt4G64Layout;
    case WeightFormat::kInt4ZG32:
      return kInt4ZG32Layout;
    case WeightFormat::kInt4ZG64:
      return kInt4ZG64Layout;
    default:
      return kInt8Layout;
  }
}
inline int64_t quant_groups(const QuantLayout& layout, int64_t k) {
  return (k + layout.super - 1) / layout.super * (layout.super / layout.group);
}

// Where the byte of an input's weight lies; int4 shares it with the input four places away.
inline int64_t panel_quant_offset(WeightFormat format, int64_t k, int64_t lane) {
  const QuantLayout& layout = quant_layout(format);
  const int64_t within = k % layout.super, fours = format == WeightFormat::kInt8G32 ? 4 : 8;
  return k / layout.super * layout.super_bytes + within / fours * (kPanel * 4) + lane * 4 + within % 4;
}
inline bool in_high_half(int64_t k) { return k % 8 >= 4; }
inline int64_t panel_scale_offset(const QuantLayout& layout, int64_t group, int64_t lane) {
  const int64_t groups = layout.super / layout.group;
  return group / groups * layout.super_bytes + layout.scales_offset + (group % groups * kPanel + lane) * 2;
}
inline int64_t panel_zero_offset(const QuantLayout& layout, int64_t group, int64_t lane) {
  const int64_t groups = layout.super / layout.group;
  return group / groups * layout.super_bytes + layout.zeros_offset + group % groups * kPanel + lane;
}

// q - zero: what the scale multiplies.
inline int32_t panel_quant(WeightFormat format, const uint8_t* panel, int64_t k, int64_t lane) {
  const uint8_t byte = panel[panel_quant_offset(format, k, lane)];
  if (format == WeightFormat::kInt8G32) return static_cast<int8_t>(byte);
  const QuantLayout& layout = quant_layout(format);
  const int32_t zero = layout.zeros ? panel[panel_zero_offset(layout, k / layout.group, lane)] : 8;
  return (in_high_half(k) ? byte >> 4 : byte & 15) - zero;
}
inline float panel_scale(WeightFormat format, const uint8_t* panel, int64_t k, int64_t lane) {
  const QuantLayout& layout = quant_layout(format);
  return load_element(DType::kF16, panel + panel_scale_offset(layout, k / layout.group, lane));
}

}  // namespace weir::cpu
