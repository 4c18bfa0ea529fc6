// AVX2 + FMA + F16C as the bodies see it: one register is 8 lanes, so a panel of 16 columns is two.
// Included once by avx2.cc, inside its namespace. See vec16-inl.h for what each operation must mean.

using Reg = __m256;
using Int = __m256i;
constexpr int kLanes = 8;

WEIR_INLINE Reg r_zero() { return _mm256_setzero_ps(); }
WEIR_INLINE Reg r_set1(float x) { return _mm256_set1_ps(x); }
WEIR_INLINE Reg r_load(const float* p) { return _mm256_loadu_ps(p); }
WEIR_INLINE void r_store(float* p, Reg a) { _mm256_storeu_ps(p, a); }
WEIR_INLINE Reg r_add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
WEIR_INLINE Reg r_sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
WEIR_INLINE Reg r_mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
WEIR_INLINE Reg r_div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
WEIR_INLINE Reg r_fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
WEIR_INLINE Reg r_abs(Reg a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
WEIR_INLINE Reg r_select_lt(Reg x, Reg y, Reg a, Reg b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ));
}
WEIR_INLINE Reg r_max(Reg a, Reg b) { return _mm256_max_ps(a, b); }  // b where either is NaN, as it must
WEIR_INLINE bool r_any_lt(Reg x, Reg y) { return _mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_LT_OQ)) != 0; }
WEIR_INLINE Reg r_add_exponent(Reg p, Reg t) {
  return _mm256_castsi256_ps(
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
WEIR_INLINE Reg r_load_bf16(const uint8_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
WEIR_INLINE Reg r_load_f16(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
WEIR_INLINE Int i_load_u8(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
WEIR_INLINE Reg r_biased(Int a) { return _mm256_castsi256_ps(_mm256_or_si256(a, _mm256_set1_epi32(kBiasBits))); }
WEIR_INLINE Reg r_load_u8(const uint8_t* p) { return r_biased(i_load_u8(p)); }
WEIR_INLINE Reg r_load_low_half(const uint8_t* p) {
  return r_biased(_mm256_and_si256(i_load_u8(p), _mm256_set1_epi32(15)));
}
WEIR_INLINE Reg r_load_high_half(const uint8_t* p) { return r_biased(_mm256_srli_epi32(i_load_u8(p), 4)); }

// Low bytes of kLanes 32-bit lanes.
WEIR_INLINE void r_store_low_bytes(uint8_t* to, Reg t) {
  const __m256i low = _mm256_and_si256(_mm256_castps_si256(t), _mm256_set1_epi32(0xff));
  const __m256i words = _mm256_packus_epi32(low, low);
  const __m256i bytes = _mm256_packus_epi16(words, words);
  const int first = _mm256_extract_epi32(bytes, 0);
  const int second = _mm256_extract_epi32(bytes, 4);
  __builtin_memcpy(to, &first, 4);
  __builtin_memcpy(to + 4, &second, 4);
}

// maddubs multiplies unsigned by signed bytes: |w| * sign(x, w) = x * w, and with |x|, |w| <= 127 a pair sums to at
// most 2 * 127 * 127 = 32 258, inside i16. |w| is shared by all rows.
struct Weight {
  __m256i magnitude, value;
};
WEIR_INLINE Weight i_weight(const uint8_t* p) {
  const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm256_abs_epi8(value), value};
}
WEIR_INLINE Int i_start(int32_t) { return _mm256_setzero_si256(); }
WEIR_INLINE Int i_dot(Int acc, Weight w, int32_t x4) {
  const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(_mm256_set1_epi32(x4), w.value));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
WEIR_INLINE Reg i_to_float(Int a) { return _mm256_cvtepi32_ps(a); }

// Tiles. 16 registers. Float: 6 rows x 16 columns = 12 accumulators + 2 of weights + 1 broadcast = 15; one
// row takes 2 panels: four chains of latency 4 eat 64 bytes of bf16 in 4 cycles, twice what DRAM gives, in two
// streams. Int8: 4 rows = 8 integer accumulators + |w| and w (4) + ones, x and a product; the float accumulators
// are touched once in 8 steps and may live in L1.
constexpr int kRowsFloat = 6;
constexpr int kRowsInt8 = 4;
constexpr int kRowsAttention = 4;
constexpr int panels_float(int rows) { return rows <= 3 ? 2 : 1; }
constexpr int panels_int8(int) { return 1; }
