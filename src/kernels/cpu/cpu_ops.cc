#include "kernels/cpu/cpu_ops.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/units.h"
#include "kernels/cpu/pack.h"

namespace weir::cpu {
namespace {

constexpr int64_t kChunksPerThread = 4;  // enough for one slow worker's share to be taken over by the rest
constexpr int64_t kPanelBlock = 2;       // panels a micro-kernel takes at most; a gate and its up

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

int64_t row_tile(const KernelTable& table, WeightFormat format) {
  return !weight_is_quantised(format)              ? table.row_tile_float
         : format == WeightFormat::kInt8G32 ? table.row_tile_int8
                                            : table.row_tile_int4;
}

}  // namespace

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
