#include "kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/units.h"
#include "device/host/host_device.h"
#include "kernels/cpu/pack.h"

namespace weir::cpu {
namespace {

// Waking the pool costs about a microsecond; 16 Ki elements take one worker a few.
constexpr int64_t kSerialElements = 16 * 1024;
constexpr int64_t kChunksPerThread = 4;  // enough for one slow worker's share to be taken over by the rest
constexpr int64_t kPanelBlock = 2;       // panels a micro-kernel takes at most; a gate and its up

template <class T>
T* raw(VecView<T> view) {
  return host_ptr<T>(view.data);
}
template <class T>
T* raw(MatView<T> view) {
  return host_ptr<T>(view.data);
}

template <class A, class B>
void check_same_shape(const A& a, const B& b) {
  WEIR_CHECK(a.rows == b.rows && a.cols == b.cols);
}

WeightFormat row_format(DType dtype) {
  WEIR_CHECK(dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16);
  return dtype == DType::kF32   ? WeightFormat::kF32
         : dtype == DType::kF16 ? WeightFormat::kF16
                                : WeightFormat::kBF16;
}

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

int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t row_tile(const KernelTable& table, WeightFormat format) {
  return !weight_is_quantised(format)              ? table.row_tile_float
         : format == WeightFormat::kInt8G32 ? table.row_tile_int8
                                            : table.row_tile_int4;
}

}  // namespace

template <class Body>
void CpuOps::over_rows(int64_t rows, int64_t row_elements, const Body& body) {
  const int64_t serial_rows = std::max<int64_t>(1, kSerialElements / std::max<int64_t>(1, row_elements));
  const int64_t share = div_up(rows, int64_t{pool_.threads()} * 2);
  pool_.parallel_for(rows, std::max(serial_rows, share), body);
}

uint64_t CpuOps::packed_bytes(WeightFormat format, int64_t n, int64_t k) const {
  WEIR_CHECK(n >= 1 && k >= 1 && n < (int64_t{1} << 31) && k < (int64_t{1} << 31));
  return static_cast<uint64_t>(div_up(n, kPanel)) * static_cast<uint64_t>(panel_bytes(format, k));
}

// Prepared activations take 4 bytes an input (f32) or so many per 32 inputs of whole supers (quantised).
uint64_t CpuOps::linear_workspace_bytes(int64_t rows, int64_t k) const {
  const int64_t as_float = rows * k * 4;
  const int64_t quantised = rows * div_up(k, kSuperMax) * (kSuperMax / 32) * kPreparedBytesMax;
  return round_up(static_cast<uint64_t>(std::max(as_float, quantised)), 64);
}

// The online softmax keeps one tile of scores on the worker's stack.
uint64_t CpuOps::attention_workspace_bytes(int64_t, int64_t, int64_t, int64_t) const { return 0; }

void CpuOps::pack_rows(Stream&, const PackRowsArgs& args) {
  const PackedWeight& dst = args.dst;
  row_format(args.dtype);
  const bool paired = args.part != PackRowsArgs::Part::kWhole;
  WEIR_CHECK(args.row_begin >= 0 && args.row_count >= 0 &&
             args.row_begin + args.row_count <= (paired ? args.rows_all : dst.n));
  WEIR_CHECK(!paired || dst.n == swiglu_rows(args.rows_all));
  WEIR_CHECK(dst.data.bytes >= packed_bytes(dst.format, dst.n, dst.k) && dst.data.data.address() % 64 == 0);
  if (args.row_count == 0) return;
  const int64_t first = args.row_begin / kPanel;
  const int64_t last = div_up(args.row_begin + args.row_count, kPanel);
  auto* weight = host_ptr<uint8_t>(dst.data.data);
  pool_.parallel_for(last - first, 1,
                     [&](int64_t begin, int64_t end) { pack_panels(args, weight, first + begin, first + end); });
}

void CpuOps::embed(Stream&, const EmbedArgs& args) {
  const EmbeddingTable& table = args.table;
  const bool packed = table.packed != nullptr;
  WEIR_CHECK(packed != !table.rows.is_null());
  const int64_t vocab = packed ? table.packed->n : table.vocab;
  const int64_t hidden = packed ? table.packed->k : table.hidden;
  WEIR_CHECK(args.out.rows == args.ids.size && args.out.cols == hidden);
  const int32_t* ids = raw(args.ids);
  for (int64_t t = 0; t < args.ids.size; ++t) WEIR_CHECK(ids[t] >= 0 && ids[t] < vocab);
  const WeightFormat format = packed ? table.packed->format : row_format(table.dtype);
  const EmbedTask task = {.ids = ids,
                          .format = format,
                          .table = host_ptr<uint8_t>(packed ? table.packed->data.data : table.rows),
                          .packed = packed,
                          .panel_bytes = panel_bytes(format, hidden),
                          .hidden = hidden,
                          .out = raw(args.out),
                          .out_stride = args.out.row_stride};
  over_rows(args.ids.size, hidden * 4, [&](int64_t begin, int64_t end) { table_.embed(task, begin, end); });
}

void CpuOps::rms_norm(Stream&, const RmsNormArgs& args) {
  check_same_shape(args.x, args.out);
  WEIR_CHECK(args.x.cols == args.groups * args.weight.size);
  const NormTask task = {.x = raw(args.x),
                         .x_stride = args.x.row_stride,
                         .groups = args.groups,
                         .n = args.weight.size,
                         .weight = raw(args.weight),
                         .eps = args.eps,
                         .out = raw(args.out),
                         .out_stride = args.out.row_stride};
  over_rows(args.x.rows, args.x.cols, [&](int64_t begin, int64_t end) { table_.rms_norm(task, begin, end); });
}

void CpuOps::linear(Stream&, const LinearArgs& args) {
  const PackedWeight& weight = *args.weight;
  const int64_t rows = args.x.rows;
  const bool paired = args.end == LinearEnd::kSwiglu;
  WEIR_CHECK(args.x.cols == weight.k && args.out.rows == rows);
  WEIR_CHECK(paired ? weight.n == swiglu_rows(args.out.cols) : weight.n == args.out.cols);
  WEIR_CHECK(args.bias.empty() || args.bias.size == weight.n);
  WEIR_CHECK(args.norm.empty() || args.norm.size == weight.k);
  WEIR_CHECK(args.workspace.bytes >= linear_workspace_bytes(rows, weight.k) &&
             args.workspace.data.address() % 64 == 0);
  if (rows == 0) return;
  const LinearTask task = {.format = weight.format,
                           .rows = rows,
                           .k = weight.k,
                           .n = weight.n,
                           .x = raw(args.x),
                           .x_stride = args.x.row_stride,
                           .norm = args.norm.empty() ? nullptr : raw(args.norm),
                           .norm_eps = args.norm_eps,
                           .weight = host_ptr<uint8_t>(weight.data.data),
                           .panel_bytes = panel_bytes(weight.format, weight.k),
                           .bias = args.bias.empty() ? nullptr : raw(args.bias),
                           .out = raw(args.out),
                           .out_stride = args.out.row_stride,
                           .out_cols = args.out.cols,
                           .end = args.end,
                           .scratch = host_ptr<uint8_t>(args.workspace.data),
                           .tiles = div_up(rows, row_tile(table_, weight.format))};
  over_rows(task.tiles, div_up(rows, task.tiles) * weight.k,
            [&](int64_t begin, int64_t end) { table_.linear_prepare(task, begin, end); });
  const int64_t panels = div_up(weight.n, kPanel);
  const int64_t share = div_up(panels, int64_t{pool_.threads()} * kChunksPerThread);
  pool_.parallel_for(panels, round_up(static_cast<uint64_t>(share), kPanelBlock),
                     [&](int64_t begin, int64_t end) { table_.linear_panels(task, begin, end); });
}

void CpuOps::rope(Stream&, const RopeArgs& args) {
  const int64_t half = args.cos.cols;
  WEIR_CHECK(args.q.rows == args.positions.size && args.k.rows == args.positions.size);
  WEIR_CHECK(args.head_dim >= 1 && 2 * half <= args.head_dim);
  WEIR_CHECK(args.q.cols % args.head_dim == 0 && args.k.cols % args.head_dim == 0);
  check_same_shape(args.cos, args.sin);
  const int32_t* positions = raw(args.positions);
  for (int64_t t = 0; t < args.positions.size; ++t) WEIR_CHECK(positions[t] >= 0 && positions[t] < args.cos.rows);
  const auto task_for = [&](MatView<float> x) {
    return RopeTask{.x = raw(x),
                    .x_stride = x.row_stride,
                    .heads = x.cols / args.head_dim,
                    .head_dim = args.head_dim,
                    .half = half,
                    .positions = positions,
                    .cos = raw(args.cos),
                    .sin = raw(args.sin),
                    .cos_stride = args.cos.row_stride,
                    .sin_stride = args.sin.row_stride};
  };
  const RopeTask q = task_for(args.q);
  const RopeTask k = task_for(args.k);
  over_rows(args.positions.size, args.q.cols + args.k.cols, [&](int64_t begin, int64_t end) {
    table_.rope(q, begin, end);
    table_.rope(k, begin, end);
  });
}

void CpuOps::kv_write(Stream&, const KvWriteArgs& args) {
  check_same_shape(args.k, args.v);
  WEIR_CHECK(args.k.rows == args.slots.size && args.k.cols == args.cache.kv_heads * args.cache.head_dim);
  const int32_t* slots = raw(args.slots);
  const int64_t slot_count = args.cache.blocks * args.cache.block_tokens;
  for (int64_t t = 0; t < args.slots.size; ++t) WEIR_CHECK(slots[t] >= 0 && slots[t] < slot_count);
  const KvWriteTask task = {.k = raw(args.k),
                            .v = raw(args.v),
                            .k_stride = args.k.row_stride,
                            .v_stride = args.v.row_stride,
                            .slots = slots,
                            .cache = kv_task(args.cache)};
  over_rows(args.slots.size, args.k.cols * 4,
            [&](int64_t begin, int64_t end) { table_.kv_write(task, begin, end); });
}

void CpuOps::attention(Stream&, const AttentionArgs& args) {
  const KvLayer& cache = args.cache;
  const int64_t tokens = args.q.rows;
  check_same_shape(args.q, args.out);
  WEIR_CHECK(args.heads >= 1 && args.heads % cache.kv_heads == 0 && args.q.cols == args.heads * cache.head_dim);
  WEIR_CHECK(args.sequences.size == tokens && args.positions.size == tokens);
  const int32_t* sequences = raw(args.sequences);
  const int32_t* positions = raw(args.positions);
  const int32_t* tables = raw(args.block_tables);
  for (int64_t t = 0; t < tokens; ++t) {
    WEIR_CHECK(sequences[t] >= 0 && sequences[t] < args.block_tables.rows && positions[t] >= 0);
    WEIR_CHECK(positions[t] / cache.block_tokens < args.block_tables.cols);
    const int32_t block = tables[sequences[t] * args.block_tables.row_stride + positions[t] / cache.block_tokens];
    WEIR_CHECK(block >= 0 && block < cache.blocks);
  }
  const AttentionTask task = {.q = raw(args.q),
                              .q_stride = args.q.row_stride,
                              .cache = kv_task(cache),
                              .block_tables = tables,
                              .table_stride = args.block_tables.row_stride,
                              .sequences = sequences,
                              .positions = positions,
                              .heads = args.heads,
                              .scale = args.scale,
                              .out = raw(args.out),
                              .out_stride = args.out.row_stride};
  // Units: (token tile, kv head), heads fastest, so that neighbours share nothing they write.
  const int64_t tile = std::clamp<int64_t>(8 / (args.heads / cache.kv_heads), 1, 8);
  const int64_t units = div_up(tokens, tile) * cache.kv_heads;
  pool_.parallel_for(units, 1, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t from = unit / cache.kv_heads * tile;
      table_.attention(task, from, std::min(from + tile, tokens), unit % cache.kv_heads);
    }
  });
}

void CpuOps::gather_rows(Stream&, const GatherRowsArgs& args) {
  WEIR_CHECK(args.out.rows == args.indices.size && args.out.cols == args.x.cols);
  const int32_t* indices = raw(args.indices);
  for (int64_t i = 0; i < args.indices.size; ++i) {
    WEIR_CHECK(indices[i] >= 0 && indices[i] < args.x.rows);
    std::memcpy(raw(args.out) + i * args.out.row_stride, raw(args.x) + indices[i] * args.x.row_stride,
                static_cast<size_t>(args.x.cols) * sizeof(float));
  }
}

}  // namespace weir::cpu
