// The bodies of RowKernels on registers of kRegisterBytes, which the including unit has defined inside its
// namespace: the compiler's own vectors, so that the code is the same for every instruction set. Everything is in
// an unnamed namespace and inlined: nothing compiled with one set's flags reaches the linker under a shared name.

#define WEIR_ROW_INLINE inline __attribute__((always_inline))

using Floats = float __attribute__((vector_size(kRegisterBytes)));
using Ints = int32_t __attribute__((vector_size(kRegisterBytes)));
using Words = uint32_t __attribute__((vector_size(kRegisterBytes)));
using Doubles = double __attribute__((vector_size(kRegisterBytes)));
using HalfFloats = float __attribute__((vector_size(kRegisterBytes / 2)));

constexpr int kFloats = kRegisterBytes / 4;
constexpr int kDoubles = kRegisterBytes / 8;
constexpr float kNothing = -__builtin_inff();

// e^z for z <= 0 by e^r * 2^n, r = z - n * ln2 in two steps: n comes from the low bits of z * log2(e) + 1.5 * 2^23,
// and the Taylor series to r^7 of |r| <= 0.35 is good to 5e-9. Each product and sum is rounded (no fused operation:
// not every machine has one), so the result is within 2 units in the last place.
constexpr float kMagic = 12582912.0f;
constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLn2High = 0x1.62e4p-1f;  // 15 bits, so that n times it is exact
constexpr float kLn2Low = 0x1.7f7d1cp-20f;
constexpr float kExpLow = -86.0f;  // below it the exponent would leave the normal range; far below every grid

WEIR_ROW_INLINE Floats set1(float x) { return Floats{} + x; }
WEIR_ROW_INLINE Floats load(const float* p) {
  Floats out;
  __builtin_memcpy(&out, p, sizeof out);
  return out;
}
WEIR_ROW_INLINE void store(float* p, Floats x) { __builtin_memcpy(p, &x, sizeof x); }

// z of a logit and e^z; 0 below `low`, which is at least kExpLow.
WEIR_ROW_INLINE Floats scaled(Floats x, float largest, float inverse_temperature) {
  return (x - largest) * inverse_temperature;
}
WEIR_ROW_INLINE Floats exponential(Floats z, float low) {
  const Floats t = z * kLog2E + kMagic;
  const Floats n = t - kMagic;
  const Floats r = (z - n * kLn2High) - n * kLn2Low;
  Floats p = r * (1.0f / 5040) + (1.0f / 720);
  p = p * r + (1.0f / 120);
  p = p * r + (1.0f / 24);
  p = p * r + (1.0f / 6);
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Floats e = reinterpret_cast<Floats>(reinterpret_cast<Words>(p) + (reinterpret_cast<Words>(t) << 23));
  return z < low ? Floats{} : e;
}

// Lane i as bit i.
WEIR_ROW_INLINE uint32_t bits_of(Ints mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#elif defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(mask)));
#else
  uint32_t bits = 0;
  for (int i = 0; i < kFloats; ++i) bits |= static_cast<uint32_t>(mask[i] & 1) << i;
  return bits;
#endif
}

// A block of a row: the row's own memory, or a copy filled up with logits that count for nothing.
struct Block {
  alignas(64) float copy[kRowBlock];
  const float* logits;
  int64_t count;
  WEIR_ROW_INLINE Block(const float* row, int64_t row_count, int64_t block) {
    logits = row + block * kRowBlock;
    count = row_count - block * kRowBlock;
    if (count >= kRowBlock) {
      count = kRowBlock;
      return;
    }
    for (int64_t i = 0; i < kRowBlock; ++i) copy[i] = i < count ? logits[i] : kNothing;
    logits = copy;
  }
};

bool scan(const float* logits, int64_t count, float* block_max) {
  Ints unordered = {};
  for (int64_t b = 0; b < block_count(count); ++b) {
    const Block block(logits, count, b);
    Floats most[4] = {set1(kNothing), set1(kNothing), set1(kNothing), set1(kNothing)};
    for (int64_t i = 0; i < kRowBlock; i += 4 * kFloats) {
      for (int j = 0; j < 4; ++j) {
        const Floats x = load(block.logits + i + j * kFloats);
        most[j] = x > most[j] ? x : most[j];
        unordered |= x != x;
      }
    }
    most[0] = most[1] > most[0] ? most[1] : most[0];
    most[2] = most[3] > most[2] ? most[3] : most[2];
    most[0] = most[2] > most[0] ? most[2] : most[0];
    float lanes[kFloats];
    store(lanes, most[0]);
    for (int step = kFloats / 2; step >= 1; step /= 2) {
      for (int i = 0; i < step; ++i) lanes[i] = lanes[i + step] > lanes[i] ? lanes[i + step] : lanes[i];
    }
    block_max[b] = lanes[0];
  }
  return bits_of(unordered) != 0;
}

// The weights of a block, rounded to the grid. RETURNS: their sum.
WEIR_ROW_INLINE double weigh_block(const WeighTask& task, const Block& block, float* weights) {
  const float low = task.least > kExpLow ? task.least : kExpLow;
  alignas(64) float e[kRowBlock];
  for (int64_t i = 0; i < kRowBlock; i += kFloats) {
    store(e + i, exponential(scaled(load(block.logits + i), task.largest, task.inverse_temperature), low));
  }
  Doubles sums[2] = {};
  for (int64_t i = 0; i < kRowBlock; i += 2 * kDoubles) {
    for (int j = 0; j < 2; ++j) {
      HalfFloats half;
      __builtin_memcpy(&half, e + i + j * kDoubles, sizeof half);
      const Doubles rounded = (__builtin_convertvector(half, Doubles) + task.rounder) - task.rounder;
      sums[j] += rounded;
      if (weights == nullptr) continue;
      half =
          __builtin_convertvector(rounded, HalfFloats);  // exact: 24 bits hold every multiple of the grid up to 1
      __builtin_memcpy(weights + i + j * kDoubles, &half, sizeof half);
    }
  }
  sums[0] += sums[1];
  double sum = 0;
  for (int i = 0; i < kDoubles; ++i) sum += sums[0][i];
  return sum;
}

void block_sums(const WeighTask& task, double* sums) {
  const float low = task.least > kExpLow ? task.least : kExpLow;
  for (int64_t b = 0; b < block_count(task.count); ++b) {
    sums[b] = 0;
    if (task.block_max != nullptr && (task.block_max[b] - task.largest) * task.inverse_temperature < low) continue;
    sums[b] = weigh_block(task, Block(task.logits, task.count, b), nullptr);
  }
}

void weigh(const WeighTask& task, float* weights) {
  alignas(64) float last[kRowBlock];
  for (int64_t b = 0; b < block_count(task.count); ++b) {
    const Block block(task.logits, task.count, b);
    float* out = weights + b * kRowBlock;
    weigh_block(task, block, block.count == kRowBlock ? out : last);
    if (block.count < kRowBlock) __builtin_memcpy(out, last, static_cast<size_t>(block.count) * sizeof(float));
  }
}

int64_t gather(const GatherTask& task, float* logits, int32_t* ids) {
  int64_t found = 0;
  const Floats least = set1(task.least);
  for (int64_t b = 0; b < block_count(task.count); ++b) {
    const float most = task.block_max[b];
    if (most < task.floor || (most - task.largest) * task.inverse_temperature < task.least) continue;
    const Block block(task.logits, task.count, b);
    for (int64_t i = 0; i < kRowBlock; i += kFloats) {
      const Floats x = load(block.logits + i);
      const Ints pass = (x >= task.floor) & (scaled(x, task.largest, task.inverse_temperature) >= least);
      for (uint32_t bits = bits_of(pass); bits != 0; bits &= bits - 1) {
        const int64_t at = i + __builtin_ctz(bits);
        logits[found] = block.logits[at];
        ids[found++] = static_cast<int32_t>(b * kRowBlock + at);
      }
    }
  }
  return found;
}

constexpr RowKernels kKernels = {kIsaName, scan, block_sums, weigh, gather};
