// AVX-512 (F, BW, VL, DQ; VNNI where WEIR_VNNI) as the bodies see it: one register is one panel of 16 columns.
// Included once by avx512.cc, avx512vnni.cc and the SIMDe test, inside their namespaces. See vec16-inl.h.

using Reg = __m512;
using Int = __m512i;
constexpr int kLanes = 16;

WEIR_INLINE Reg r_zero() { return _mm512_setzero_ps(); }
WEIR_INLINE Reg r_set1(float x) { return _mm512_set1_ps(x); }
WEIR_INLINE Reg r_load(const float* p) { return _mm512_loadu_ps(p); }
WEIR_INLINE void r_store(float* p, Reg a) { _mm512_storeu_ps(p, a); }
WEIR_INLINE Reg r_add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
WEIR_INLINE Reg r_sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
WEIR_INLINE Reg r_mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
WEIR_INLINE Reg r_div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
WEIR_INLINE Reg r_fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
WEIR_INLINE Reg r_abs(Reg a) { return _mm512_abs_ps(a); }
WEIR_INLINE Reg r_select_lt(Reg x, Reg y, Reg a, Reg b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), b, a);
}
WEIR_INLINE Reg r_max(Reg a, Reg b) { return _mm512_max_ps(a, b); }  // b where either is NaN, as it must
WEIR_INLINE bool r_any_lt(Reg x, Reg y) { return _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ) != 0; }
WEIR_INLINE Reg r_add_exponent(Reg p, Reg t) {
  return _mm512_castsi512_ps(
      _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
WEIR_INLINE Reg r_load_bf16(const uint8_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
WEIR_INLINE Reg r_load_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
WEIR_INLINE Int i_load_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
WEIR_INLINE Reg r_biased(Int a) { return _mm512_castsi512_ps(_mm512_or_si512(a, _mm512_set1_epi32(kBiasBits))); }
WEIR_INLINE Reg r_load_u8(const uint8_t* p) { return r_biased(i_load_u8(p)); }
WEIR_INLINE Reg r_load_low_half(const uint8_t* p) {
  return r_biased(_mm512_and_si512(i_load_u8(p), _mm512_set1_epi32(15)));
}
WEIR_INLINE Reg r_load_high_half(const uint8_t* p) { return r_biased(_mm512_srli_epi32(i_load_u8(p), 4)); }

// Low bytes of kLanes 32-bit lanes.
WEIR_INLINE void r_store_low_bytes(uint8_t* to, Reg t) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_castps_si512(t)));
}

WEIR_INLINE Reg i_to_float(Int a) { return _mm512_cvtepi32_ps(a); }
WEIR_INLINE Int i_broadcast(const uint8_t* p) {
  int32_t x;
  __builtin_memcpy(&x, p, 4);
  return _mm512_set1_epi32(x);
}
using X8 = __m512i;
constexpr int64_t kX8Bytes = 4;
WEIR_INLINE void x8_store(uint8_t* to, const int8_t* four) { __builtin_memcpy(to, four, 4); }
WEIR_INLINE X8 x8_load(const uint8_t* p) { return i_broadcast(p); }
WEIR_INLINE void i4_load(const uint8_t* p, Int* low, Int* high) {
  const __m512i both = _mm512_loadu_si512(p);
  const __m512i mask = _mm512_set1_epi8(15);
  *low = _mm512_and_si512(both, mask);
  *high = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
}
WEIR_INLINE Int i_offset4(const uint8_t* zeros, const uint8_t* offset) {
  return _mm512_mullo_epi32(i_load_u8(zeros), i_broadcast(offset));
}
#if defined(WEIR_VNNI)
// dpbusd multiplies unsigned by signed bytes: an int8 weight becomes w + 128 (one xor, shared by all rows), x stays
// signed, and the accumulator starts at -128 * sum(x), which the activations bring along. Int4 is unsigned as it is.
// Exact in i32.
using Weight8 = __m512i;
WEIR_INLINE Weight8 w8_load(const uint8_t* p) {
  return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(0x80)));
}
WEIR_INLINE Int i8_start(const uint8_t* offset) { return i_broadcast(offset); }
WEIR_INLINE Int i8_dot(Int acc, Weight8 w, X8 x) { return _mm512_dpbusd_epi32(acc, w, x); }
WEIR_INLINE Int i4_start(Int total) { return total; }
WEIR_INLINE Int i4_dot(Int acc, Int w, Int x) { return _mm512_dpbusd_epi32(acc, w, x); }
WEIR_INLINE Int i4_end(Int acc, Int) { return acc; }
#else
// gcc 12 would put all additions of a group behind its products, and those on the stack: a sum is wanted at once.
WEIR_INLINE Int summed(Int a) {
#if defined(__AVX512F__)  // not where it is emulated
  asm("" : "+v"(a));
#endif
  return a;
}
// maddubs multiplies unsigned by signed bytes: |w| * (x with w's sign) = x * w, and with |x|, |w| <= 127 a pair sums to
// at most 2 * 127 * 127 = 32 258, inside i16. There is no vpsignb here, so a mask negates x.
struct Weight8 {
  __m512i magnitude;
  __mmask64 negative;
};
WEIR_INLINE Weight8 w8_load(const uint8_t* p) {
  const __m512i value = _mm512_loadu_si512(p);
  return {_mm512_abs_epi8(value), _mm512_movepi8_mask(value)};
}
WEIR_INLINE Int i8_start(const uint8_t*) { return _mm512_setzero_si512(); }
WEIR_INLINE Int i8_dot(Int acc, const Weight8& w, X8 x) {
  const __m512i signed_x = _mm512_mask_sub_epi8(x, w.negative, _mm512_setzero_si512(), x);
  const __m512i pairs = _mm512_maddubs_epi16(w.magnitude, signed_x);
  return summed(_mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))));
}
// int4: eight pairs of at most 2 * 15 * 127 fit i16.
WEIR_INLINE Int i4_start(Int) { return _mm512_setzero_si512(); }
WEIR_INLINE Int i4_dot(Int acc, Int w, Int x) { return summed(_mm512_add_epi16(acc, _mm512_maddubs_epi16(w, x))); }
WEIR_INLINE Int i4_end(Int acc, Int total) {
  return _mm512_add_epi32(total, _mm512_madd_epi16(acc, _mm512_set1_epi16(1)));
}
#endif

// Tiles. 32 registers. Float: 12 rows x 32 columns = 24 accumulators + 2 of weights + 1 broadcast = 27. One or
// two rows take one panel: an FMA chain of latency 4 eats 32 bytes of bf16 in 4 cycles, which is what DRAM gives, and one
// stream is read best (Zen 4, one core: 22 GB/s against 19.5 with two and 14 with eight). Int8: 12
// rows x 16 columns = 12 integer + 12 float accumulators + the weight + scale. One panel even for one row: the 8
// dpbusd of a group (latency 4) take 32 cycles for 544 bytes, groups overlap, and one stream is read best.
constexpr int kRowsFloat = 12;
constexpr int kRowsInt8 = 12;
constexpr int kRowsInt4 = 12;
constexpr int kRowsAttention = 8;
constexpr int panels_float(int rows) { return rows <= 2 ? 1 : 2; }
