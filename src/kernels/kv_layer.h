// KvGeometry, KvLayer: how keys and values lie in a block of the paged cache.
//
// One block holds block_tokens consecutive positions of one sequence for all layers, so that copying, growing and
// shrinking work on whole blocks; it needs nothing outside itself, scales included:
//
//   block:  [layers][kv_heads] { K: [head_dim][block_tokens]   V: [block_tokens][head_dim_padded]   scales }
//
// K is transposed so that scores have one position per SIMD lane; V is not, so that the value pass has one
// dimension per lane. Neither needs a horizontal sum. V rows are padded to 16 elements (int4: 32); what lies in the
// pad is never used.
//
// int8 and int4 hold x as scale * (q - zero), one scale and zero per token and head, for K and for V
// (kernels/ops.h, QkvFinishArgs). Their scales lie behind V, as vectors over the block's positions:
//
//   scales: { K scales: f16 [block_tokens]   V scales: f16 [block_tokens]
//             K zeros:  u8 [block_tokens]    V zeros:  u8 [block_tokens] }
//
// A byte of int4 holds two dimensions of one token, never two tokens (tokens are written by different threads):
// in K the dimensions 2i (low half) and 2i + 1, in V d (low half) and d + 16 of each 32. Either way one load gives
// two registers of lanes in order, by a mask and a shift.
//
// Bytes per token and head at head_dim 64: bf16 256, int8 134 (1.91x the tokens), int4 70 (3.66x).
//
// Values; any thread. Never touches the memory it describes.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "device/device.h"
#include "tensor/dtype.h"

namespace weir {

// One layer of a pool of blocks, as qkv_finish and attention take it.
struct KvLayer {
  DevicePtr base;  // of block 0 in this layer
  KvFormat format = KvFormat::kF32;
  int64_t blocks = 0;
  int64_t block_tokens = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  uint64_t block_stride_bytes = 0;   // from a block to the next
  uint64_t head_stride_bytes = 0;    // from a kv head to the next within a block
  uint64_t v_offset_bytes = 0;       // from the K of a head to its V
  uint64_t scales_offset_bytes = 0;  // from the K of a head to its scales; int8 and int4 only
};

struct KvGeometry {
  KvFormat format = KvFormat::kBF16;
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;       // 1..512
  int64_t block_tokens = 64;  // a multiple of 16, at most 4096

  uint64_t k_bytes() const {
    return static_cast<uint64_t>(block_tokens) * row_bytes(format == KvFormat::kInt4 ? 2 : 1);
  }
  uint64_t v_bytes() const {
    return static_cast<uint64_t>(block_tokens) * row_bytes(format == KvFormat::kInt4 ? 32 : 16);
  }
  uint64_t scale_bytes() const { return kv_is_quantised(format) ? 6 * static_cast<uint64_t>(block_tokens) : 0; }
  uint64_t head_bytes() const { return round_up(k_bytes() + v_bytes() + scale_bytes(), 64); }
  uint64_t layer_bytes() const { return static_cast<uint64_t>(kv_heads) * head_bytes(); }
  uint64_t block_bytes() const { return static_cast<uint64_t>(layers) * layer_bytes(); }

  // REQUIRES: pool has room for `blocks` blocks and starts at a multiple of 64.
  KvLayer layer(DeviceSpan pool, int64_t blocks, int64_t index) const {
    WEIR_CHECK(index >= 0 && index < layers && static_cast<uint64_t>(blocks) * block_bytes() <= pool.bytes);
    return {.base = pool.data.plus(static_cast<uint64_t>(index) * layer_bytes()),
            .format = format,
            .blocks = blocks,
            .block_tokens = block_tokens,
            .kv_heads = kv_heads,
            .head_dim = head_dim,
            .block_stride_bytes = block_bytes(),
            .head_stride_bytes = head_bytes(),
            .v_offset_bytes = k_bytes(),
            .scales_offset_bytes = k_bytes() + v_bytes()};
  }

 private:
  // Bytes of one token's head_dim numbers, padded to a multiple of `pad`.
  uint64_t row_bytes(uint64_t pad) const {
    return round_up(static_cast<uint64_t>(head_dim), pad) * static_cast<uint64_t>(kv_format_bits(format)) / 8;
  }
};

}  // namespace weir
