// KvGeometry, KvLayer: how keys and values lie in a block of the paged cache.
//
// One block holds block_tokens consecutive positions of one sequence for all layers, so that copying, growing and
// shrinking work on whole blocks:
//
//   block:  [layers][kv_heads] { K: [head_dim][block_tokens]   V: [block_tokens][head_dim_padded] }
//
// K is transposed so that scores have one position per SIMD lane; V is not, so that the value pass has one
// dimension per lane. Neither needs a horizontal sum. V rows are padded to 16 elements; what lies in the pad is
// never used. Values; any thread. Never touches the memory it describes.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "device/device.h"
#include "tensor/dtype.h"

namespace weir {

// One layer of a pool of blocks, as kv_write and attention take it.
struct KvLayer {
  DevicePtr base;  // of block 0 in this layer
  DType dtype = DType::kF32;
  int64_t blocks = 0;
  int64_t block_tokens = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  uint64_t block_stride_bytes = 0;  // from a block to the next
  uint64_t head_stride_bytes = 0;   // from a kv head to the next within a block
  uint64_t v_offset_bytes = 0;      // from the K of a head to its V
};

struct KvGeometry {
  DType dtype = DType::kBF16;  // f32, bf16 or f16
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;       // 1..512
  int64_t block_tokens = 64;  // a multiple of 16, at most 4096

  uint64_t k_bytes() const { return static_cast<uint64_t>(head_dim * block_tokens) * dtype_bytes(dtype); }
  uint64_t v_bytes() const {
    return static_cast<uint64_t>(block_tokens) * round_up(static_cast<uint64_t>(head_dim), 16) * dtype_bytes(dtype);
  }
  uint64_t head_bytes() const { return round_up(k_bytes() + v_bytes(), 64); }
  uint64_t layer_bytes() const { return static_cast<uint64_t>(kv_heads) * head_bytes(); }
  uint64_t block_bytes() const { return static_cast<uint64_t>(layers) * layer_bytes(); }

  // REQUIRES: pool has room for `blocks` blocks and starts at a multiple of 64.
  KvLayer layer(DeviceSpan pool, int64_t blocks, int64_t index) const {
    WEIR_CHECK(index >= 0 && index < layers && static_cast<uint64_t>(blocks) * block_bytes() <= pool.bytes);
    return {.base = pool.data.plus(static_cast<uint64_t>(index) * layer_bytes()),
            .dtype = dtype,
            .blocks = blocks,
            .block_tokens = block_tokens,
            .kv_heads = kv_heads,
            .head_dim = head_dim,
            .block_stride_bytes = block_bytes(),
            .head_stride_bytes = head_bytes(),
            .v_offset_bytes = k_bytes()};
  }
};

}  // namespace weir
