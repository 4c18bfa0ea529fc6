#include "kernels/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/portable.h"
#include "kernels/cpu/quantise.h"

namespace weir::cpu {
namespace {

float source_element(const PackRowsArgs& args, int64_t row, int64_t k) {
  const uint64_t bytes = static_cast<uint64_t>(element_bytes(args.dtype));
  const auto* rows = static_cast<const uint8_t*>(args.rows);
  return load_element(args.dtype, rows + static_cast<uint64_t>((row - args.row_begin) * args.dst.k + k) * bytes);
}

void pack_float_row(const PackRowsArgs& args, int64_t row, uint8_t* panel, int64_t lane) {
  const DType dtype = element_type(args.dst.format);
  const int64_t bytes = element_bytes(dtype);
  uint8_t* to = panel + lane * bytes;
  if (dtype == args.dtype && bytes == 2) {  // same type: the bits pass unchanged, NaN payloads too
    const uint8_t* from = static_cast<const uint8_t*>(args.rows) + (row - args.row_begin) * args.dst.k * 2;
    for (int64_t k = 0; k < args.dst.k; ++k) std::memcpy(to + k * kPanel * 2, from + k * 2, 2);
    return;
  }
  for (int64_t k = 0; k < args.dst.k; ++k)
    store_element(dtype, to + k * kPanel * bytes, source_element(args, row, k));
}

// Inputs [begin, begin + count) of a row as f32: a loop per type, which the compiler makes wide.
void load_inputs(const PackRowsArgs& args, int64_t row, int64_t begin, int64_t count, float* x) {
  const auto offset = static_cast<uint64_t>((row - args.row_begin) * args.dst.k + begin);
  const auto* from = static_cast<const uint8_t*>(args.rows) + offset * static_cast<uint64_t>(element_bytes(args.dtype));
  if (args.dtype == DType::kF32) {
    std::memcpy(x, from, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  uint16_t halves[kQuantGroupMax];
  std::memcpy(halves, from, static_cast<size_t>(count) * sizeof(uint16_t));
  if (args.dtype == DType::kBF16) {
    for (int64_t i = 0; i < count; ++i) x[i] = f32_from_bf16(halves[i]);
  } else {
    for (int64_t i = 0; i < count; ++i) x[i] = f32_from_f16(halves[i]);
  }
}

// One group into its lane of a panel; what lies beyond k becomes zeros.
void store_group(WeightFormat format, const QuantLayout& layout, int64_t group, const QuantisedGroup& from,
                 uint8_t* panel, int64_t lane) {
  std::memcpy(panel + panel_scale_offset(layout, group, lane), &from.scale, 2);
  if (layout.zeros) panel[panel_zero_offset(layout, group, lane)] = from.zero;
  uint8_t* to = panel + panel_quant_offset(format, group * layout.group, lane);
  const bool int8 = format == WeightFormat::kInt8G32;
  for (int64_t i = 0; i < layout.group; i += int8 ? 4 : 8, to += kPanel * 4) {
    uint8_t four[4];
    for (int64_t j = 0; j < 4; ++j) {
      four[j] = int8 ? from.q[i + j] : static_cast<uint8_t>(from.q[i + j] | from.q[i + 4 + j] << 4);
    }
    std::memcpy(to, four, 4);
  }
}

void pack_quantised_row(const PackRowsArgs& args, int64_t row, uint8_t* panel, int64_t lane) {
  const WeightFormat format = args.dst.format;
  const QuantLayout& layout = quant_layout(format);
  const int64_t groups = quant_groups(layout, args.dst.k);
  float x[kQuantGroupMax];
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * layout.group;
    const int64_t count = std::clamp<int64_t>(args.dst.k - begin, 0, layout.group);
    QuantisedGroup out = {};
    if (count > 0) {
      load_inputs(args, row, begin, count, x);
      format == WeightFormat::kInt8G32 ? quantise_int8(x, count, &out)
      : layout.zeros                   ? quantise_int4_zero(x, count, &out)
                                       : quantise_int4(x, count, &out);
    }
    store_group(format, layout, g, out, panel, lane);
  }
}

void pack_row(const PackRowsArgs& args, int64_t row, uint8_t* panel) {
  const int64_t lane = row % kPanel;
  weight_is_quantised(args.dst.format) ? pack_quantised_row(args, row, panel, lane)
                                       : pack_float_row(args, row, panel, lane);
}

void zero_lane(const PackedWeight& weight, uint8_t* panel, int64_t lane) {
  if (!weight_is_quantised(weight.format)) {
    const int64_t bytes = element_bytes(element_type(weight.format));
    for (int64_t k = 0; k < weight.k; ++k)
      std::memset(panel + (k * kPanel + lane) * bytes, 0, static_cast<size_t>(bytes));
    return;
  }
  const QuantLayout& layout = quant_layout(weight.format);
  for (int64_t g = 0; g < quant_groups(layout, weight.k); ++g) {
    store_group(weight.format, layout, g, QuantisedGroup{}, panel, lane);
  }
}

}  // namespace

int64_t panel_bytes(WeightFormat format, int64_t k) {
  if (weight_is_quantised(format)) {
    const QuantLayout& layout = quant_layout(format);
    return (k + layout.super - 1) / layout.super * layout.super_bytes;
  }
  const int64_t bytes = k * kPanel * element_bytes(element_type(format));
  return (bytes + 63) / 64 * 64;
}

void pack_panels(const PackRowsArgs& args, uint8_t* weight, int64_t panel_begin, int64_t panel_end) {
  const int64_t bytes = panel_bytes(args.dst.format, args.dst.k);
  const int64_t row_end = args.row_begin + args.row_count;
  const bool paired = args.part != PackRowsArgs::Part::kWhole;
  const int64_t rows_all = paired ? args.rows_all : args.dst.n;
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    uint8_t* panel = weight + (paired ? 2 * p + (args.part == PackRowsArgs::Part::kUp ? 1 : 0) : p) * bytes;
    const int64_t first = std::max(args.row_begin, p * kPanel);
    const int64_t last = std::min(row_end, (p + 1) * kPanel);
    for (int64_t row = first; row < last; ++row) pack_row(args, row, panel);
    if (last != rows_all) continue;  // whoever writes the last row also clears the lanes after it
    for (int64_t pad = last; pad < (p + 1) * kPanel; ++pad) zero_lane(args.dst, panel, pad % kPanel);
  }
}

}  // namespace weir::cpu
