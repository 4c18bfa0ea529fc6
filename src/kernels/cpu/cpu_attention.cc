// CpuOps on the KV cache: how attention is cut into units, and what stands before it.
//
// A unit is (run, kv head) or (run, kv head, partition). A run is consecutive tokens of one sequence, as many as
// give a kernel its rows, fewer while that leaves workers without work. Partitions become units of their own only
// where there are few tokens, so that their partial results stay small: then even one sequence keeps many workers
// busy. How the work is cut changes no bit (ops.h).
#include "base/check.h"
#include "base/units.h"
#include "kernels/cpu/constants.h"
#include "kernels/cpu/cpu_ops.h"

namespace weir::cpu {
namespace {

constexpr int64_t kUnitsPerThread = 4;  // enough that the last one to finish keeps nobody waiting for long

int64_t partial_floats(int64_t head_dim) { return kPartialHead + div_up(head_dim, 32) * 32; }

KvTask kv_task(const KvLayer& layer) {
  WEIR_CHECK(layer.block_tokens >= 16 && layer.block_tokens % 16 == 0 && layer.head_dim >= 1 &&
             layer.head_dim <= 512);
  return {.base = host_ptr<uint8_t>(layer.base),
          .format = layer.format,
          .block_tokens = layer.block_tokens,
          .kv_heads = layer.kv_heads,
          .head_dim = layer.head_dim,
          .block_stride = static_cast<int64_t>(layer.block_stride_bytes),
          .head_stride = static_cast<int64_t>(layer.head_stride_bytes),
          .v_offset = static_cast<int64_t>(layer.v_offset_bytes),
          .scales_offset = static_cast<int64_t>(layer.scales_offset_bytes)};
}

// RETURNS: the longest row's positions.
int64_t check_rows(const AttentionArgs& args) {
  const KvLayer& cache = args.cache;
  WEIR_CHECK(args.q.rows == args.out.rows && args.q.cols == args.out.cols);
  WEIR_CHECK(args.heads >= 1 && args.heads % cache.kv_heads == 0 && args.q.cols == args.heads * cache.head_dim);
  WEIR_CHECK(args.sequences.size == args.q.rows && args.positions.size == args.q.rows);
  const int32_t* sequences = raw(args.sequences);
  const int32_t* positions = raw(args.positions);
  int64_t longest = 0;
  for (int64_t t = 0; t < args.q.rows; ++t) {
    WEIR_CHECK(sequences[t] >= 0 && sequences[t] < args.block_tables.rows && positions[t] >= 0);
    WEIR_CHECK(positions[t] / cache.block_tokens < args.block_tables.cols);
    const int64_t entry = sequences[t] * args.block_tables.row_stride + positions[t] / cache.block_tokens;
    const int32_t block = raw(args.block_tables)[entry];
    WEIR_CHECK(block >= 0 && block < cache.blocks);
    longest = std::max(longest, int64_t{positions[t]} + 1);
  }
  return longest;
}

// Cuts [0, tokens) into runs of one sequence and at most `most` tokens: run i ends at ends[i] and begins where the
// one before ends. RETURNS: their number.
int64_t cut_runs(const int32_t* sequences, int64_t tokens, int64_t most, int32_t* ends) {
  int64_t count = 0, begin = 0;
  for (int64_t t = 1; t <= tokens; ++t) {
    if (t < tokens && sequences[t] == sequences[begin] && t - begin < most) continue;
    ends[count++] = static_cast<int32_t>(t);
    begin = t;
  }
  return count;
}

// Partial results of so many tokens.
uint64_t partial_bytes(int64_t tokens, int64_t heads, int64_t head_dim, int64_t context) {
  return static_cast<uint64_t>(tokens * heads * div_up(context, kPartition) * partial_floats(head_dim)) * sizeof(float);
}
// Beyond this a step of many tokens at a long context is not split: on many cores and with a session of 128k tokens its
// partial results would be hundreds of megabytes of the plan.
constexpr uint64_t kPartialBytesMax = uint64_t{32} << 20;

// Tokens of a run: the kernel's rows, unless that made fewer units than the workers want.
int64_t run_tokens(int64_t tokens, int64_t group, const KvLayer& cache, int64_t threads) {
  const int64_t rows = std::min(kAttentionRows, kAttentionFloats / (div_up(cache.head_dim, 32) * 32));
  const int64_t share = tokens * cache.kv_heads / (kUnitsPerThread * threads);
  return std::max<int64_t>(1, std::min(rows / group, share));
}

}  // namespace

bool CpuOps::splits_context(int64_t tokens, int64_t kv_heads, int64_t context, uint64_t partials) const {
  return pool_.threads() > 1 && context > kPartition && tokens * kv_heads < kUnitsPerThread * pool_.threads() &&
         partials <= kPartialBytesMax;
}

uint64_t CpuOps::attention_workspace_bytes(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                           int64_t context) const {
  const uint64_t runs = round_up(static_cast<uint64_t>(tokens) * sizeof(int32_t), 64);
  // The most tokens that split: a step of more may be followed by one of fewer.
  int64_t split = std::min(tokens, (kUnitsPerThread * pool_.threads() - 1) / kv_heads);
  if (!splits_context(split, kv_heads, context, 0)) split = 0;
  return runs + std::min(partial_bytes(split, heads, head_dim, context), kPartialBytesMax);
}

void CpuOps::attention(Stream&, const AttentionArgs& args) {
  const KvLayer& cache = args.cache;
  const int64_t tokens = args.q.rows, kv_heads = cache.kv_heads;
  if (tokens == 0) return;
  const int64_t longest = check_rows(args);
  WEIR_CHECK(args.workspace.bytes >=
                 attention_workspace_bytes(tokens, args.heads, kv_heads, cache.head_dim, longest) &&
             args.workspace.data.address() % 64 == 0);
  auto* ends = host_ptr<int32_t>(args.workspace.data);
  const bool split =
      splits_context(tokens, kv_heads, longest, partial_bytes(tokens, args.heads, cache.head_dim, longest));
  const int64_t runs = cut_runs(raw(args.sequences), tokens,
                                run_tokens(tokens, args.heads / kv_heads, cache, pool_.threads()), ends);
  const AttentionTask task = {
      .q = raw(args.q),
      .q_stride = args.q.row_stride,
      .cache = kv_task(cache),
      .block_tables = raw(args.block_tables),
      .table_stride = args.block_tables.row_stride,
      .sequences = raw(args.sequences),
      .positions = raw(args.positions),
      .heads = args.heads,
      .scale = args.scale,
      .out = raw(args.out),
      .out_stride = args.out.row_stride,
      .partials = reinterpret_cast<float*>(host_ptr<uint8_t>(args.workspace.data) +
                                           round_up(static_cast<uint64_t>(tokens) * sizeof(int32_t), 64)),
      .partitions = div_up(longest, kPartition),
      .partial_floats = partial_floats(cache.head_dim)};
  const int64_t parts = split ? task.partitions : 1;
  // The last run first: a prompt's later tokens see more, and the dearest units begun last would be waited for.
  pool_.parallel_for(runs * kv_heads * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t run = runs - 1 - i / (kv_heads * parts);
      table_.attention(task, {.token_begin = run == 0 ? 0 : ends[run - 1],
                              .token_end = ends[run],
                              .kv_head = i / parts % kv_heads,
                              .part = split,
                              .partition = i % parts});
    }
  });
  if (!split) return;
  over_rows(tokens, args.heads * task.partitions * task.partial_floats,
            [&](int64_t begin, int64_t end) { table_.attention_merge(task, begin, end); });
}

void CpuOps::qkv_finish(Stream&, const QkvFinishArgs& args) {
  const KvLayer& cache = args.cache;
  const int64_t tokens = args.slots.size, half = args.cos.cols;
  WEIR_CHECK(args.q.rows == tokens && args.k.rows == tokens && args.v.rows == tokens);
  WEIR_CHECK(args.k.cols == cache.kv_heads * cache.head_dim && args.v.cols == args.k.cols);
  WEIR_CHECK(args.q.cols % cache.head_dim == 0);
  WEIR_CHECK(args.q_norm.empty() || args.q_norm.size == cache.head_dim);
  WEIR_CHECK(args.k_norm.empty() || args.k_norm.size == cache.head_dim);
  WEIR_CHECK(2 * half <= cache.head_dim && args.sin.rows == args.cos.rows && args.sin.cols == half);
  WEIR_CHECK(half == 0 || args.positions.size == tokens);
  for (int64_t t = 0; t < tokens; ++t) {
    const int32_t slot = raw(args.slots)[t];
    WEIR_CHECK(slot >= 0 && slot < cache.blocks * cache.block_tokens);
    WEIR_CHECK(half == 0 || (raw(args.positions)[t] >= 0 && raw(args.positions)[t] < args.cos.rows));
  }
  const QkvTask task = {.q = args.q.cols == 0 ? nullptr : raw(args.q),
                        .k = raw(args.k),
                        .v = raw(args.v),
                        .q_stride = args.q.row_stride,
                        .k_stride = args.k.row_stride,
                        .v_stride = args.v.row_stride,
                        .heads = args.q.cols / cache.head_dim,
                        .q_norm = args.q_norm.empty() ? nullptr : raw(args.q_norm),
                        .k_norm = args.k_norm.empty() ? nullptr : raw(args.k_norm),
                        .eps = args.eps,
                        .half = half,
                        .positions = half == 0 ? nullptr : raw(args.positions),
                        .cos = half == 0 ? nullptr : raw(args.cos),
                        .sin = half == 0 ? nullptr : raw(args.sin),
                        .cos_stride = args.cos.row_stride,
                        .sin_stride = args.sin.row_stride,
                        .slots = raw(args.slots),
                        .cache = kv_task(cache)};
  over_rows(tokens, args.q.cols + args.k.cols * 8,
            [&](int64_t begin, int64_t end) { table_.qkv_finish(task, begin, end); });
}

}  // namespace weir::cpu
