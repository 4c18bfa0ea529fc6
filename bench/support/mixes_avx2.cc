// AVX2 and FMA. 16 registers: 6 chains, some of their totals, x, w, ones and two scales; the other totals wait in
// L1, once a group. 2 to 12 chains were tried on Zen 4: no count is more than 3 % faster.
#include "support/mixes.h"

#if defined(__AVX2__)
#include <immintrin.h>

namespace weir::bench {
namespace {

using Int = __m256i;
using Reg = __m256;
#define WEIR_REGISTER "x"
#define WEIR_FRESH(value) asm volatile("" : "+" WEIR_REGISTER(value))

Reg r_some() { return _mm256_set1_ps(0.5f); }
Reg r_mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
Reg r_fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
Reg r_from_int(Int a) { return _mm256_cvtepi32_ps(a); }

// int4: weights 0..15 are unsigned, so eight pairs fit into 16 bits (8 * 2 * 15 * 127 = 30 480) and are widened
// once.
struct Int4 {
  static Int some() { return _mm256_set1_epi8(1); }
  static Int start() { return _mm256_setzero_si256(); }
  static Int dot(Int sum, Int w, Int x) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x)); }
  static Int widen(Int sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
};

// int8: weights and activations are 16 bits wide by then, even and odd inputs in a register each.
struct Int8 : Int4 {
  static Int dot(Int sum, Int w, Int x) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(w, x));
    WEIR_FRESH(sum);
    WEIR_FRESH(x);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(w, x));
  }
  static Int widen(Int sum) { return sum; }
};

#include "support/mixes_x86-inl.h"

// A register is 8 outputs of 4 products: 2 * 32 operations a dot; 8 a step.
constexpr double kDots = 2.0 * 32 * kSteps;
const Mix kMixes[] = {
    {"avx2", "fma f32", "vfmadd", 12 * 2.0 * 8 * kSteps, fma_chains<12>},
    {"avx2", "int8", "vpmaddwd vpaddd, twice", 10 * kDots, dots_alone<Int8, 10>},
    {"avx2", "int8 scaled", "the same, and per 8: cvt mul fma", 6 * kDots, dots_scaled<Int8, 6>},
    {"avx2", "int4", "vpmaddubsw vpaddw", 12 * kDots, dots_alone<Int4, 12>},
    {"avx2", "int4 scaled", "the same, and per 8: vpmaddwd cvt mul fma", 6 * kDots, dots_scaled<Int4, 6>},
};

}  // namespace

const Mix* avx2_mixes(int* count) {
  *count = static_cast<int>(sizeof kMixes / sizeof kMixes[0]);
  return kMixes;
}

}  // namespace weir::bench
#else
namespace weir::bench {
const Mix* avx2_mixes(int* count) {
  *count = 0;
  return nullptr;
}
}  // namespace weir::bench
#endif
