#include "kernels/cpu/quantise.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/cpu/constants.h"
#include "tensor/convert.h"

namespace weir::cpu {
namespace {

constexpr float kScaleMax = 65504.0f;  // of f16
constexpr int kLanes = 8;              // partial sums, so that a compiler may use wide registers and the order is fixed

float sum_lanes(const float (&lanes)[kLanes]) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// Rounds to the nearest integer, ties to even, for |x| < 2^22.
float round_small(float x) { return (x + kMagic) - kMagic; }

// The group, padded with zeros to whole lanes; NaN is 0.
struct Group {
  alignas(32) float x[kQuantGroupMax] = {};
  int64_t count;      // a multiple of kLanes
  float low = 0.0f, high = 0.0f;

  Group(const float* from, int64_t size) : count((size + kLanes - 1) / kLanes * kLanes) {
    for (int64_t i = 0; i < size; ++i) {
      x[i] = from[i] == from[i] ? from[i] : 0.0f;
      low = std::min(low, x[i]);
      high = std::max(high, x[i]);
    }
  }
};

struct Candidate {
  uint16_t scale = 0;
  float zero = 8.0f;
  float error = 0.0f;
  float fit = 0.0f;  // the scale that would suit these integers best
};

// q of one number, as float.
float quantised(float x, float inverse, float zero) {
  return std::min(std::max(round_small(std::min(std::max(x * inverse, -32.0f), 32.0f)) + zero, 0.0f), 15.0f);
}

// How well a scale and a zero do. A scale that f16 rounds to nothing leaves everything at zero.
Candidate try_scale(const Group& group, float wanted, float zero) {
  Candidate c;
  c.zero = zero;
  c.scale = f16_from_f32(std::clamp(wanted, -kScaleMax, kScaleMax));
  const float scale = f32_from_f16(c.scale);
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  float error[kLanes] = {}, product[kLanes] = {}, square[kLanes] = {};
  for (int64_t i = 0; i < group.count; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float x = group.x[i + j];
      const float q = quantised(x, inverse, zero) - zero;
      const float off = x - q * scale;
      error[j] += off * off;
      product[j] += x * q;
      square[j] += q * q;
    }
  }
  c.error = sum_lanes(error);
  const float squares = sum_lanes(square);
  c.fit = squares > 0.0f ? sum_lanes(product) / squares : 0.0f;
  return c;
}

void keep_better(const Candidate& candidate, Candidate* best) {
  if (candidate.error < best->error) *best = candidate;
}

void write_int4(const Group& group, int64_t count, const Candidate& best, QuantisedGroup* out) {
  const float scale = f32_from_f16(best.scale);
  const float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
  out->scale = best.scale;
  out->zero = static_cast<uint8_t>(best.zero);
  for (int64_t i = 0; i < count; ++i) out->q[i] = static_cast<uint8_t>(quantised(group.x[i], inverse, best.zero));
}

}  // namespace

void quantise_int8(const float* x, int64_t count, QuantisedGroup* out) {
  const Group group(x, count);
  const float amax = std::max(-group.low, group.high);
  out->scale = f16_from_f32(std::min(amax / 127.0f, kScaleMax));
  const float scale = f32_from_f16(out->scale);
  if (!(scale > 0.0f)) return;
  for (int64_t i = 0; i < count; ++i) {
    const float q = std::min(std::max(group.x[i] / scale, -127.0f), 127.0f);
    out->q[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(q + kMagic) & 0xffu);
  }
}

void quantise_int4(const float* x, int64_t count, QuantisedGroup* out) {
  const Group group(x, count);
  const float extreme = -group.low > group.high ? group.low : group.high;
  Candidate best = try_scale(group, extreme / -8.0f, 8.0f);
  for (const float steps : {-8.7f, -7.4f, -6.8f, 7.0f, 7.6f}) keep_better(try_scale(group, extreme / steps, 8.0f), &best);
  keep_better(try_scale(group, best.fit, 8.0f), &best);
  write_int4(group, count, best, out);
}

void quantise_int4_zero(const float* x, int64_t count, QuantisedGroup* out) {
  const Group group(x, count);
  const auto span = [&](float part) {
    const float low = group.low * part, high = group.high * part;
    const float scale = f32_from_f16(f16_from_f32(std::min((high - low) / 15.0f, kScaleMax)));
    const float zero = scale > 0.0f ? std::clamp(round_small(std::min(-low / scale, 32.0f)), 0.0f, 15.0f) : 0.0f;
    return try_scale(group, scale, zero);
  };
  Candidate best = span(1.0f);
  for (const float part : {0.94f, 0.88f, 0.82f, 0.76f}) keep_better(span(part), &best);
  keep_better(try_scale(group, best.fit, best.zero), &best);
  write_int4(group, count, best, out);
}

}  // namespace weir::cpu
