// The AVX-512 bodies through SIMDe, compiled for AVX2, so that hosts without AVX-512 check them too. Test code.
// Built twice: with WEIR_VNNI and without.
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>

#include "kernels/cpu/isa_unit.h"
#include "kernels/cpu/simde_tables.h"

namespace weir::cpu {
namespace {

// What SIMDe 0.7.4 lacks, or names wrongly (its alias of madd takes the arguments of the masked form).
WEIR_INLINE simde__m512i widen_words(simde__m256i words) {
  uint16_t from[16];
  uint32_t to[16];
  __builtin_memcpy(from, &words, sizeof(from));
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
WEIR_INLINE simde__m512 widen_halves(simde__m256i halves) {
  float to[16];
  _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm256_castsi256_si128(halves)));
  _mm256_storeu_ps(to + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
  return simde_mm512_loadu_ps(to);
}
WEIR_INLINE __m128i low_bytes(simde__m512i lanes) {
  uint32_t from[16];
  uint8_t to[16];
  simde_mm512_storeu_si512(from, lanes);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint8_t>(from[i]);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(to));
}
WEIR_INLINE simde__m512 to_floats(simde__m512i lanes) {
  int32_t from[16];
  float to[16];
  simde_mm512_storeu_si512(from, lanes);
  for (int i = 0; i < 16; ++i) to[i] = static_cast<float>(from[i]);
  return simde_mm512_loadu_ps(to);
}
WEIR_INLINE simde__m512i widen_bytes(__m128i bytes) {
  uint8_t from[16];
  uint32_t to[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(from), bytes);
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
#define _mm512_cvtepu8_epi32(bytes) widen_bytes(bytes)
#define _mm512_cvtepi32_ps(lanes) to_floats(lanes)
#define _mm512_cvtepi32_epi8(lanes) low_bytes(lanes)
#define _mm512_cvtepu16_epi32(words) widen_words(words)
#define _mm512_cvtph_ps(halves) widen_halves(halves)
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

#include "kernels/cpu/isa_avx512-inl.h"

#include "kernels/cpu/body-inl.h"

constexpr KernelTable kTable = body_table("avx512 through SIMDe");
}  // namespace

#if defined(WEIR_VNNI)
const KernelTable* simde_avx512vnni_table() { return &kTable; }
#else
const KernelTable* simde_avx512_table() { return &kTable; }
#endif
}  // namespace weir::cpu
