// Ops: the steps of a transformer layer, one virtual call each, on one backend. The model room writes its forward
// against this header alone; kernels/cpu implements it, kernels/cuda may later.
//
// Owner: the Backend (kernels/backend.h). Thread: the executor thread, which is also worker 0 of the CPU pool; two
// threads may never be inside one Ops. Limits: tensors and workspace come from the caller, sized by the functions
// here; after construction nothing allocates, locks or does I/O.
//
// Every view is device memory. Every activation is f32. Calls are queued on `stream` in order and may return before
// they are done. REQUIRES lines are our own invariants and are CHECKed where that is cheap: the model room checks
// what came from files, the engine what came from clients (token ids, positions).
//
// The promise that shapes everything (DESIGN promise 8): the result of one row is bit-identical whatever the other
// rows are, however many there are, wherever its KV blocks lie, whichever thread or instruction set does the work.
// The order of every floating-point operation is therefore part of the interface; it is written at each method,
// with fma(a, b, c) = a*b + c rounded once, and "tree16" = lane i += lane i+8, then +4, then +2, then +1.
#pragma once

#include <cstdint>

#include "kernels/kv_layer.h"
#include "kernels/linear_end.h"
#include "kernels/packed_weight.h"
#include "tensor/view.h"

namespace weir {

// Where embed() reads its rows: exactly one of the two is set.
struct EmbeddingTable {
  const PackedWeight* packed = nullptr;  // the lm_head [vocab, hidden] when embeddings are tied: stored once
  DevicePtr rows;                        // [vocab, hidden] row-major in `dtype`
  DType dtype = DType::kF32;             // f32, f16 or bf16
  int64_t vocab = 0;
  int64_t hidden = 0;
};

// out[t] = table[ids[t]], converted to f32 (quantised: f32(q - zero) * f32(scale), one rounding).
struct EmbedArgs {
  VecView<const int32_t> ids;  // [tokens], 0 <= id < vocab
  EmbeddingTable table;
  MatView<float> out;  // [tokens, hidden]
};

// out[r][c] = chain over k of fma(x[r][k], w[c][k], .) from 0, then + bias[c], then what `end` says.
// norm (RMSNorm): x[r][k] above is (x * f) * norm[k] with f = 1 / sqrt(sum(x^2) / k + eps). The sum keeps 16 lanes, lane
// j = fma chain over x[j], x[j+16], ..., then tree16.
// int8: x is quantised per row and group of 32 (scale = amax/127); each group's integer dot is exact and the chain
// runs over groups: fma(f32(dot), x_scale * w_scale, .). int4: the same with the format's group and dot(x, q - zero).
// A group of x whose largest magnitude is below 2^-100 counts as zeros there, and a NaN in it as 0.
// kSwiglu: rows of the weight are gate and up by panels of 16 (packed_weight.h); out[r][c] = (g / (1 + exp(-g))) * u
// with g, u the finished sums (bias included) of column c of each.
struct LinearArgs {
  MatView<const float> x;                // [rows, k]
  const PackedWeight* weight = nullptr;  // [n, k]
  VecView<const float> bias;             // [n], or empty
  MatView<float> out;                    // [rows, n]; kSwiglu [rows, at most n / 2]; must not overlap x
  LinearEnd end = LinearEnd::kStore;
  VecView<const float> norm;             // [k], or empty: the RMSNorm before this linear, without a second pass
  float norm_eps = 1e-6f;
  DeviceSpan workspace;  // at least linear_workspace_bytes(rows, k); free again when the call is done
};

// What stands between the projections and attention(), for each token in one pass:
// 1. q_norm and k_norm, where given: the norm of LinearArgs over each head (Qwen3).
// 2. The rotation, HF "rotate_half": with h = rotary/2 and i < h, (a, b) = (x[i], x[i+h]) of each head of q and k
//    becomes (a*cos - b*sin, b*cos + a*sin), each product rounded, then the sum. rotary = 2 * cos.cols <= head_dim;
//    the rest of a head is left alone.
// 3. k and v are stored at the token's slot. REQUIRES distinct slots. Float formats round to nearest even.
//    int8 (n = 255) and int4 (n = 15), for each token, head, and of k and v: x = scale * (q - zero). NaN counts as
//    0 and |x| beyond 65504 * n / 2, infinity included, as that, so that one number cannot spoil another token.
//    With lo = min(0, x...) and hi = max(0, x...): scale = (hi - lo) / n rounded up to f16 (so that q fits; 0 is
//    always exact), i = 1 / scale, zero = round(-lo * i), q = round(x * i) + zero, both kept within 0..n, ties to
//    even. A scale of 0 (nothing but zeros, or a range under 2^-149 * n) stores q = zero = 0. |x - stored| <= scale
//    / 2.
struct QkvFinishArgs {
  MatView<float> q;                  // [tokens, heads * head_dim], in place; heads may be 0
  MatView<float> k;                  // [tokens, kv_heads * head_dim], in place
  MatView<const float> v;            // [tokens, kv_heads * head_dim]
  VecView<const float> q_norm;       // [head_dim], or empty
  VecView<const float> k_norm;       // [head_dim], or empty
  float eps = 1e-6f;                 // of both norms
  VecView<const int32_t> positions;  // [tokens], 0 <= p < cos.rows; not read where rotary is 0
  MatView<const float> cos;          // [positions, rotary / 2]
  MatView<const float> sin;          // same shape
  VecView<const int32_t> slots;      // [tokens]: block * block_tokens + offset
  KvLayer cache;
};

// Causal attention with grouped heads over the paged cache; decode rows and prefill chunks may mix in one call. Row
// t sees positions 0..positions[t] of its sequence, which qkv_finish has stored before (its own included). Query
// head h reads kv head h / (heads / kv_heads). Nothing but valid tokens is read from V, and no masked score is
// used, so recycled blocks may hold anything.
// Order: partitions of 512 positions from 0, each from m = -infinity, l = 0, o = 0; in a partition, tiles of 64
// positions. Score = chain over d of fma(q[d], k[d], .), times scale. m = max so far; when a tile raises it, the
// 16-lane sum l and the output o are multiplied by exp(m_old - m_new). p = exp(score - m); l[j % 16] += p; o[d] =
// chain over positions of fma(p, v[d], .).
// Partitions join in order, (m, l, o) being what came before and (m', l', o') the next one: M = max(m, m'),
// a = exp(m - M), b = exp(m' - M), l[i] = fma(l'[i], b, l[i] * a), o[d] = fma(o'[d], b, o[d] * a), m = M. At the end
// o[d] / tree16(l). That is the order whoever computes them: one worker, one partition after the other, or many.
// int8 and int4: k[d] and v[d] above are f32(q) - f32(zero), exact integers; a chain's sum is times the position's
// K scale first, then times scale; and fma takes p times the position's V scale (l takes p alone).
struct AttentionArgs {
  MatView<const float> q;  // [tokens, heads * head_dim]
  KvLayer cache;
  MatView<const int32_t> block_tables;  // [sequences, blocks_max]: block ids in order of position
  VecView<const int32_t> sequences;     // [tokens]: row of block_tables
  VecView<const int32_t> positions;     // [tokens]
  int64_t heads = 0;                    // a multiple of cache.kv_heads
  float scale = 1.0f;                   // usually 1 / sqrt(head_dim)
  MatView<float> out;                   // [tokens, heads * head_dim]; must not overlap q
  DeviceSpan workspace;                 // at least attention_workspace_bytes(...)
};

// out[i] = x[indices[i]].
struct GatherRowsArgs {
  MatView<const float> x;          // [rows, n]
  VecView<const int32_t> indices;  // [count], 0 <= index < rows
  MatView<float> out;              // [count, n]
};

class Ops {
 public:
  virtual ~Ops() = default;

  // ---- Sizes: pure functions of their arguments, for the planner. Nothing is loaded or allocated. ----
  virtual uint64_t packed_bytes(WeightFormat format, int64_t n, int64_t k) const = 0;  // a multiple of 64
  virtual uint64_t linear_workspace_bytes(int64_t rows, int64_t k) const = 0;
  // context: the longest sequence in tokens. Grows with each argument except kv_heads (where it may shrink), and
  // with the backend's threads, which is the only thing beside the arguments that it depends on.
  virtual uint64_t attention_workspace_bytes(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                             int64_t context) const = 0;

  // ---- Loading ----
  // Writes rows [row_begin, row_begin + row_count) of a weight; call it for every row once, in any pieces and
  // order. Reads the source only during the call (until synchronize on devices that copy). Peak extra memory: none.
  virtual void pack_rows(Stream& stream, const PackRowsArgs& args) = 0;

  // ---- Steps ----
  virtual void embed(Stream& stream, const EmbedArgs& args) = 0;
  virtual void linear(Stream& stream, const LinearArgs& args) = 0;
  virtual void qkv_finish(Stream& stream, const QkvFinishArgs& args) = 0;
  virtual void attention(Stream& stream, const AttentionArgs& args) = 0;
  virtual void gather_rows(Stream& stream, const GatherRowsArgs& args) = 0;
};

}  // namespace weir
