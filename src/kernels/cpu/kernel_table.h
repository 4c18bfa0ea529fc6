// KernelTable: what one instruction set offers, as plain functions over ranges of work; and the plain structs they
// take. The per-ISA translation units include this header, so it holds no inline function (they are compiled with
// other flags, and the linker would keep one copy for all).
//
// Thread: every function may run on several workers at once with disjoint ranges. Nothing allocates.
#pragma once

#include <cstdint>

#include "kernels/linear_end.h"
#include "tensor/dtype.h"

namespace weir::cpu {

constexpr int64_t kPanel = 16;  // weight columns that lie side by side in a packed panel

// How a quantised panel lies in memory: supers of `super` inputs, each { weights; f16 scale [super / group][16];
// u8 zero [super / group][16], where the format has zeros }, padded to cache lines. Inputs in fours, as dot
// instructions eat: int8 [super / 4][16][4]; int4 two fours to a byte, [super / 8][16][4] with the fours 2i in the low
// halves and 2i + 1 in the high ones. k is padded with zeros to a whole super.
struct QuantLayout {
  int64_t group;  // inputs that share a scale
  int64_t super;
  int64_t scales_offset, zeros_offset;  // bytes from the start of a super
  bool zeros;
  int64_t super_bytes;  // a multiple of 64
};
constexpr QuantLayout kInt8Layout = {32, 64, 1024, 1088, false, 1088};
constexpr QuantLayout kInt4G32Layout = {32, 128, 1024, 1152, false, 1152};
constexpr QuantLayout kInt4G64Layout = {64, 128, 1024, 1088, false, 1088};
constexpr QuantLayout kInt4ZG32Layout = {32, 128, 1024, 1152, true, 1216};
constexpr QuantLayout kInt4ZG64Layout = {64, 128, 1024, 1088, true, 1152};
constexpr int64_t kSuperMax = 128;

// Prepared activations of a quantised linear, of a row and group: int8 [group], in the form its instruction set
// broadcasts (up to two bytes each), f32 scale, i32 offset. At most so many bytes for each 32 inputs:
constexpr int64_t kPreparedBytesMax = 72;

// Ops::linear once its views are raw memory. Weights: panel p at weight + p * panel_bytes; f32/f16/bf16 panels are
// [k][16], the others as QuantLayout says.
struct LinearTask {
  WeightFormat format;
  int64_t rows, k, n;
  const float* x;
  int64_t x_stride;
  const float* norm;  // [k]: x is first normalised; or null
  float norm_eps;
  const uint8_t* weight;
  int64_t panel_bytes;
  const float* bias;  // [n], or null
  float* out;
  int64_t out_stride;
  int64_t out_cols;  // n; kSwiglu: of its halves
  LinearEnd end;
  uint8_t* scratch;  // prepared activations, 64-byte aligned
  int64_t tiles;     // row tiles; tile t is rows [t * rows / tiles, (t + 1) * rows / tiles)
};

struct EmbedTask {
  const int32_t* ids;
  WeightFormat format;
  const uint8_t* table;
  bool packed;          // else row-major, row_bytes apart
  int64_t panel_bytes;  // packed only
  int64_t hidden;
  float* out;
  int64_t out_stride;
};

struct KvTask {
  uint8_t* base;
  KvFormat format;
  int64_t block_tokens, kv_heads, head_dim;
  int64_t block_stride, head_stride, v_offset, scales_offset;  // bytes
};

struct KvWriteTask {
  const float *k, *v;
  int64_t k_stride, v_stride;
  const int32_t* slots;
  KvTask cache;
};

struct QkvTask {  // Ops::qkv_finish
  float *q, *k;
  const float* v;
  int64_t q_stride, k_stride, v_stride, heads;
  const float *q_norm, *k_norm;  // or null
  float eps;
  int64_t half;  // rotary / 2
  const int32_t* positions;
  const float *cos, *sin;
  int64_t cos_stride, sin_stride;
  const int32_t* slots;
  KvTask cache;
};

// Attention computes up to kAttentionRows query rows (token, head) that share K and V at a time, fewer where their
// numbers would exceed kAttentionFloats (48 KiB for q, and as much for each of two outputs): each number of K and V
// is widened once for so many, and all of it stays in L2.
constexpr int64_t kAttentionRows = 96;
constexpr int64_t kAttentionFloats = 12288;

// What a partition leaves for attention_merge: m in [0], l in [16, 32), o from 32.
constexpr int64_t kPartialHead = 32;

struct AttentionTask {
  const float* q;
  int64_t q_stride;
  KvTask cache;
  const int32_t* block_tables;
  int64_t table_stride;
  const int32_t *sequences, *positions;
  int64_t heads;
  float scale;
  float* out;
  int64_t out_stride;
  // Row (token, head), partition i: partials + ((token * heads + head) * partitions + i) * partial_floats.
  float* partials;         // not touched where no unit is a part
  int64_t partitions;      // of the longest row
  int64_t partial_floats;  // kPartialHead + head_dim padded to 32
};

// Tokens [token_begin, token_end), all of one sequence, of one kv head. A part is one partition: rows that have
// more than one leave a partial, for attention_merge; the others, and all rows where the unit is the whole, are
// written to `out`.
struct AttentionUnit {
  int64_t token_begin, token_end, kv_head;
  bool part;
  int64_t partition;  // of a part
};

struct KernelTable {
  const char* isa;
  int64_t row_tile_float, row_tile_int8, row_tile_int4;  // most rows one micro-kernel takes
  // Prepares the activations of row tiles [begin, end) in scratch.
  void (*linear_prepare)(const LinearTask&, int64_t begin, int64_t end);
  // Output columns of panels [begin, end), for all rows. After every tile is prepared. kSwiglu: begin and end even.
  void (*linear_panels)(const LinearTask&, int64_t begin, int64_t end);
  void (*embed)(const EmbedTask&, int64_t token_begin, int64_t token_end);
  void (*qkv_finish)(const QkvTask&, int64_t token_begin, int64_t token_end);
  void (*attention)(const AttentionTask&, const AttentionUnit&);
  // Joins the partials of every head; rows of one partition are left as they are. After all parts are done.
  void (*attention_merge)(const AttentionTask&, int64_t token_begin, int64_t token_end);
};

// Filled by the translation unit of that name; null where this build has no such code. Whether the CPU can run it
// is isa.h's question.
const KernelTable* scalar_table();
const KernelTable* avx2_table();
const KernelTable* avx512_table();
const KernelTable* avx512vnni_table();
const KernelTable* neon_table();
const KernelTable* neoni8mm_table();

}  // namespace weir::cpu
