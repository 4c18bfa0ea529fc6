#include "kernels/cpu/pack.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "kernels/cpu/constants.h"
#include "kernels/cpu/portable.h"

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

// The stored scale is the rounded one and the integers refer to it, so that only the clamp at 127 adds to the error
// of rounding. A NaN becomes 0.
void pack_int8_group(const PackRowsArgs& args, int64_t row, int64_t group, uint8_t* panel, int64_t lane) {
  const int64_t begin = group * kGroup;
  const int64_t count = std::clamp<int64_t>(args.dst.k - begin, 0, kGroup);
  float x[kGroup] = {};
  float amax = 0.0f;
  for (int64_t i = 0; i < count; ++i) {
    x[i] = source_element(args, row, begin + i);
    amax = std::fabs(x[i]) > amax ? std::fabs(x[i]) : amax;
  }
  const uint16_t half = f16_from_f32(std::min(amax / 127.0f, 65504.0f));
  const float scale = f32_from_f16(half);
  std::memcpy(panel + panel_scale_offset(group, lane), &half, 2);
  for (int64_t i = 0; i < kGroup; ++i) {
    const float q = scale > 0.0f ? x[i] / scale : 0.0f;
    const float clamped = q >= 127.0f ? 127.0f : q <= -127.0f ? -127.0f : q == q ? q : 0.0f;
    panel[panel_int8_offset(begin + i, lane)] =
        static_cast<uint8_t>(static_cast<int8_t>(std::bit_cast<uint32_t>(clamped + kMagic) & 0xffu));
  }
}

void pack_row(const PackRowsArgs& args, int64_t row, uint8_t* panel) {
  const int64_t lane = row % kPanel;
  if (args.dst.format != WeightFormat::kInt8G32) return pack_float_row(args, row, panel, lane);
  const int64_t groups = (args.dst.k + kSuper - 1) / kSuper * 2;
  for (int64_t g = 0; g < groups; ++g) pack_int8_group(args, row, g, panel, lane);
}

void zero_lane(const PackedWeight& weight, uint8_t* panel, int64_t lane) {
  if (weight.format != WeightFormat::kInt8G32) {
    const int64_t bytes = element_bytes(element_type(weight.format));
    for (int64_t k = 0; k < weight.k; ++k)
      std::memset(panel + (k * kPanel + lane) * bytes, 0, static_cast<size_t>(bytes));
    return;
  }
  const int64_t k_padded = (weight.k + kSuper - 1) / kSuper * kSuper;
  for (int64_t k = 0; k < k_padded; ++k) panel[panel_int8_offset(k, lane)] = 0;
  for (int64_t g = 0; g < k_padded / kGroup; ++g) std::memset(panel + panel_scale_offset(g, lane), 0, 2);
}

}  // namespace

int64_t panel_bytes(WeightFormat format, int64_t k) {
  if (format == WeightFormat::kInt8G32) return (k + kSuper - 1) / kSuper * kSuperBytes;
  const int64_t bytes = k * kPanel * element_bytes(element_type(format));
  return (bytes + 63) / 64 * 64;
}

void pack_panels(const PackRowsArgs& args, uint8_t* weight, int64_t panel_begin, int64_t panel_end) {
  const int64_t bytes = panel_bytes(args.dst.format, args.dst.k);
  const int64_t row_end = args.row_begin + args.row_count;
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    uint8_t* panel = weight + p * bytes;
    const int64_t first = std::max(args.row_begin, p * kPanel);
    const int64_t last = std::min(row_end, (p + 1) * kPanel);
    for (int64_t row = first; row < last; ++row) pack_row(args, row, panel);
    if (last != args.dst.n) continue;  // whoever writes the last row also clears the lanes after it
    for (int64_t pad = last; pad < (p + 1) * kPanel; ++pad) zero_lane(args.dst, panel, pad % kPanel);
  }
}

}  // namespace weir::cpu
