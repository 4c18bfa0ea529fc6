// The write to the KV cache (definition: ops.h, QkvFinishArgs): rounds or quantises a token's keys and values into
// its slot. One body for every instruction set, so all store the same bytes; it touches each number once, beside a
// forward that used it hundreds of times.
#include <bit>

#include "kernels/cpu/constants.h"
#include "kernels/cpu/kv_access.h"

namespace weir::cpu {
namespace {

constexpr int64_t kHeadDimMax = 512;
constexpr float kF16Max = 65504.0f;

// Ties to even, for |x| < 2^22 (constants.h).
int32_t round_to_int(float x) { return std::bit_cast<int32_t>(x + kMagic) - std::bit_cast<int32_t>(kMagic); }
int32_t clamp_to(int32_t x, int32_t top) { return x < 0 ? 0 : x > top ? top : x; }

struct Quantiser {
  float limit = 0;     // larger magnitudes count as this
  float inverse = 0;   // 1 / scale
  uint16_t scale = 0;  // f16
  int32_t zero = 0;
  int32_t top = 0;  // q is 0..top
  uint8_t operator()(float x) const {
    x = x > limit ? limit : x < -limit ? -limit : x == x ? x : 0.0f;
    return static_cast<uint8_t>(clamp_to(round_to_int(x * inverse) + zero, top));
  }
};

Quantiser fit(const float* x, int64_t count, int32_t top) {
  Quantiser fitted{.limit = kF16Max / 2 * static_cast<float>(top), .top = top};
  float low = 0.0f, high = 0.0f;  // a NaN is passed over by both comparisons
  for (int64_t i = 0; i < count; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  low = low < -fitted.limit ? -fitted.limit : low;
  high = high > fitted.limit ? fitted.limit : high;
  const float step = (high - low) / static_cast<float>(top);  // at most kF16Max
  if (step == 0.0f) return fitted;
  fitted.scale = f16_from_f32(step);
  if (f32_from_f16(fitted.scale) < step) ++fitted.scale;
  fitted.inverse = 1.0f / f32_from_f16(fitted.scale);
  fitted.zero = clamp_to(round_to_int(-low * fitted.inverse), top);
  return fitted;
}

void store_bytes(const KvTask& kv, KvPart part, int64_t slot, const uint8_t* q, uint8_t* base) {
  const int64_t stride = part == KvPart::kKey ? kv.block_tokens : 1;
  uint8_t* at = base + kv_offset(kv, part, slot, 0);
  for (int64_t d = 0; d < kv.head_dim; ++d) at[d * stride] = q[d];
}

// Two dimensions a byte. q is zero from head_dim up to the next multiple of 32.
void store_halves(const KvTask& kv, KvPart part, int64_t slot, const uint8_t* q, uint8_t* base) {
  const int64_t apart = part == KvPart::kKey ? 1 : 16;
  for (int64_t first = 0; first < kv.head_dim; first += 2 * apart) {
    uint8_t* at = base + kv_offset(kv, part, slot, first);
    for (int64_t i = 0; i < apart; ++i) at[i] = static_cast<uint8_t>(q[first + i] | q[first + apart + i] << 4);
  }
}

void write_quantised(const KvTask& kv, KvPart part, int64_t slot, const float* x, uint8_t* base) {
  const bool bytes = kv.format == KvFormat::kInt8;
  const Quantiser fitted = fit(x, kv.head_dim, bytes ? 255 : 15);
  uint8_t q[kHeadDimMax + 31] = {};
  for (int64_t d = 0; d < kv.head_dim; ++d) q[d] = fitted(x[d]);
  bytes ? store_bytes(kv, part, slot, q, base) : store_halves(kv, part, slot, q, base);
  std::memcpy(base + kv_scale_offset(kv, part, slot), &fitted.scale, 2);
  base[kv_zero_offset(kv, part, slot)] = static_cast<uint8_t>(fitted.zero);
}

template <class Write>
void write_token(const KvWriteTask& task, int64_t token, Write write) {
  const KvTask& kv = task.cache;
  const int64_t slot = task.slots[token] % kv.block_tokens;
  for (int64_t head = 0; head < kv.kv_heads; ++head) {
    uint8_t* base = kv_head_base(kv, task.slots[token] / kv.block_tokens, head);
    write(KvPart::kKey, slot, task.k + token * task.k_stride + head * kv.head_dim, base);
    write(KvPart::kValue, slot, task.v + token * task.v_stride + head * kv.head_dim, base);
  }
}

// The element type is known to the inner loop.
template <KvFormat kFormat>
void write_float_token(const KvWriteTask& task, int64_t token) {
  const KvTask& kv = task.cache;
  write_token(task, token, [&](KvPart part, int64_t slot, const float* x, uint8_t* base) {
    constexpr int64_t kBytes = kFormat == KvFormat::kF32 ? 4 : 2;
    const int64_t stride = part == KvPart::kKey ? kv.block_tokens * kBytes : kBytes;
    uint8_t* at = base + kv_offset(kv, part, slot, 0);
    for (int64_t d = 0; d < kv.head_dim; ++d) store_element(kv_element_type(kFormat), at + d * stride, x[d]);
  });
}

}  // namespace

void portable_kv_write(const KvWriteTask& task, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    switch (task.cache.format) {
      case KvFormat::kF32:
        write_float_token<KvFormat::kF32>(task, t);
        break;
      case KvFormat::kF16:
        write_float_token<KvFormat::kF16>(task, t);
        break;
      case KvFormat::kBF16:
        write_float_token<KvFormat::kBF16>(task, t);
        break;
      default:
        write_token(task, t, [&](KvPart part, int64_t slot, const float* x, uint8_t* base) {
          write_quantised(task.cache, part, slot, x, base);
        });
    }
  }
}

}  // namespace weir::cpu
