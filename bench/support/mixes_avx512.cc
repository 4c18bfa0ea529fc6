// AVX-512 (F, BW, VL, DQ), without VNNI and with it. 32 registers: 12 chains with a float total each, and the rest.
#include "support/mixes.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>

namespace weir::bench {
namespace {

using Int = __m512i;
using Reg = __m512;
#define WEIR_REGISTER "v"

Reg r_some() { return _mm512_set1_ps(0.5f); }
Reg r_mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
Reg r_fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
Reg r_from_int(Int a) { return _mm512_cvtepi32_ps(a); }

struct Int4 {
  static Int some() { return _mm512_set1_epi8(1); }
  static Int start() { return _mm512_setzero_si512(); }
  static Int dot(Int sum, Int w, Int x) { return _mm512_add_epi16(sum, _mm512_maddubs_epi16(w, x)); }
  static Int widen(Int sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }
};

// There is no vpsignb: a mask negates x. The mask is the weight's, shared by all rows.
struct Int8 : Int4 {
  static Int dot(Int sum, Int w, Int x) {
    const Int negated = _mm512_mask_sub_epi8(x, static_cast<__mmask64>(0x5555555555555555u), start(), x);
    const Int pairs = _mm512_maddubs_epi16(w, negated);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
  static Int widen(Int sum) { return sum; }
};

// Both formats are the same to dpbusd, which adds four products to a 32-bit lane.
struct Vnni : Int4 {
  static Int dot(Int sum, Int w, Int x) { return _mm512_dpbusd_epi32(sum, w, x); }
  static Int widen(Int sum) { return sum; }
};

#include "support/mixes_x86-inl.h"

// A register is 16 outputs of 4 products: 2 * 64 operations a dot; 8 a step.
constexpr double kDots = 2.0 * 64 * kSteps;
const Mix kPlain[] = {
    {"avx512", "fma f32", "vfmadd zmm", 12 * 2.0 * 16 * kSteps, fma_chains<12>},
    {"avx512", "int8", "vpsubb{k} vpmaddubsw vpmaddwd vpaddd", 12 * kDots, dots_alone<Int8, 12>},
    {"avx512", "int8 scaled", "the same, and per 8: cvt mul fma", 12 * kDots, dots_scaled<Int8, 12>},
    {"avx512", "int4", "vpmaddubsw vpaddw", 12 * kDots, dots_alone<Int4, 12>},
    {"avx512", "int4 scaled", "the same, and per 8: vpmaddwd cvt mul fma", 12 * kDots, dots_scaled<Int4, 12>},
};
const Mix kVnni[] = {
    {"avx512vnni", "fma f32", "vfmadd zmm", 12 * 2.0 * 16 * kSteps, fma_chains<12>},
    {"avx512vnni", "int8", "vpdpbusd zmm", 12 * kDots, dots_alone<Vnni, 12>},
    {"avx512vnni", "int8 scaled", "the same, and per 8: cvt mul fma", 12 * kDots, dots_scaled<Vnni, 12>},
    {"avx512vnni", "int4", "vpdpbusd zmm", 12 * kDots, dots_alone<Vnni, 12>},
    {"avx512vnni", "int4 scaled", "the same, and per 8: cvt mul fma", 12 * kDots, dots_scaled<Vnni, 12>},
};

}  // namespace

const Mix* avx512_mixes(int* count) {
  *count = static_cast<int>(sizeof kPlain / sizeof kPlain[0]);
  return kPlain;
}
const Mix* avx512vnni_mixes(int* count) {
  *count = static_cast<int>(sizeof kVnni / sizeof kVnni[0]);
  return kVnni;
}

}  // namespace weir::bench
#else
namespace weir::bench {
const Mix* avx512_mixes(int* count) {
  *count = 0;
  return nullptr;
}
const Mix* avx512vnni_mixes(int* count) { return avx512_mixes(count); }
}  // namespace weir::bench
#endif
