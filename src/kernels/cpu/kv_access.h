// Where an element of the KV cache lies and what it stands for (layout: kernels/kv_layer.h), as plainly as
// possible: for kv_write.cc, the scalar reference and tests. Thread: any, disjoint slots. Never included by a per-ISA
// translation unit.
#pragma once

#include <cstdint>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/portable.h"

namespace weir::cpu {

enum class KvPart { kKey, kValue };

inline uint8_t* kv_head_base(const KvTask& kv, int64_t block, int64_t kv_head) {
  return kv.base + block * kv.block_stride + kv_head * kv.head_stride;
}

// Bytes from the head's base; the half of a byte that int4 has is kv_shift.
inline int64_t kv_offset(const KvTask& kv, KvPart part, int64_t slot, int64_t d) {
  const bool key = part == KvPart::kKey;
  if (kv.format == KvFormat::kInt4) {
    return key ? d / 2 * kv.block_tokens + slot
               : kv.v_offset + slot * ((kv.head_dim + 31) / 32 * 16) + d / 32 * 16 + d % 16;
  }
  const int64_t bytes = kv.format == KvFormat::kInt8 ? 1 : kv.format == KvFormat::kF32 ? 4 : 2;
  const int64_t padded = (kv.head_dim + 15) / 16 * 16;
  return key ? (d * kv.block_tokens + slot) * bytes : kv.v_offset + (slot * padded + d) * bytes;
}
inline int kv_shift(const KvTask& kv, KvPart part, int64_t d) {
  if (kv.format != KvFormat::kInt4) return 0;
  return (part == KvPart::kKey ? d % 2 : d / 16 % 2) == 1 ? 4 : 0;
}
inline int64_t kv_scale_offset(const KvTask& kv, KvPart part, int64_t slot) {
  return kv.scales_offset + (part == KvPart::kKey ? 0 : kv.block_tokens * 2) + slot * 2;
}
inline int64_t kv_zero_offset(const KvTask& kv, KvPart part, int64_t slot) {
  return kv.scales_offset + kv.block_tokens * (part == KvPart::kKey ? 4 : 5) + slot;
}

inline DType kv_element_type(KvFormat format) {
  return format == KvFormat::kF32 ? DType::kF32 : format == KvFormat::kF16 ? DType::kF16 : DType::kBF16;
}

// One number, to be multiplied by kv_scale: the float itself, or q - zero.
inline float kv_load(const KvTask& kv, KvPart part, const uint8_t* base, int64_t slot, int64_t d) {
  const uint8_t* at = base + kv_offset(kv, part, slot, d);
  if (kv.format == KvFormat::kInt8 || kv.format == KvFormat::kInt4) {
    const int mask = kv.format == KvFormat::kInt8 ? 0xff : 0xf;
    return static_cast<float>(((*at >> kv_shift(kv, part, d)) & mask) - base[kv_zero_offset(kv, part, slot)]);
  }
  return load_element(kv_element_type(kv.format), at);
}
inline float kv_scale(const KvTask& kv, KvPart part, const uint8_t* base, int64_t slot) {
  if (kv.format != KvFormat::kInt8 && kv.format != KvFormat::kInt4) return 1.0f;
  return load_element(DType::kF16, base + kv_scale_offset(kv, part, slot));
}

}  // namespace weir::cpu
