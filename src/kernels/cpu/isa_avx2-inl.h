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

WEIR_INLINE Int i_broadcast(const uint8_t* p) {
  int32_t x;
  __builtin_memcpy(&x, p, 4);
  return _mm256_set1_epi32(x);
}

// int8: weights become i16, even and odd inputs of a column in a register each (three shifts, shared by all rows), and
// meet activations that lie as i16 already: madd and add for 16 products. With |w| * (x with w's sign) in maddubs it is
// sign, maddubs, madd and add for 32, which Zen 4 does a quarter slower (141 against 185 GOP/s a core): maddubs and
// madd share two ports with sign.
struct Weight8 {
  __m256i even, odd;  // inputs 0 and 2, 1 and 3 of each column
};
WEIR_INLINE Weight8 w8_load(const uint8_t* p) {
  const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm256_srai_epi16(_mm256_slli_epi16(value, 8), 8), _mm256_srai_epi16(value, 8)};
}
struct X8 {
  __m256i even, odd;
};
constexpr int64_t kX8Bytes = 8;
WEIR_INLINE void x8_store(uint8_t* to, const int8_t* four) {
  const int16_t words[4] = {four[0], four[2], four[1], four[3]};
  __builtin_memcpy(to, words, 8);
}
WEIR_INLINE X8 x8_load(const uint8_t* p) { return {i_broadcast(p), i_broadcast(p + 4)}; }
WEIR_INLINE Int i8_start(const uint8_t*) { return _mm256_setzero_si256(); }
// gcc 12 would put all additions of a group behind its products, and those on the stack: a sum is wanted at once.
WEIR_INLINE Int summed(Int a) {
  asm("" : "+x"(a));
  return a;
}
WEIR_INLINE Int i8_dot(Int acc, const Weight8& w, const X8& x) {
  acc = summed(_mm256_add_epi32(acc, _mm256_madd_epi16(w.even, x.even)));
  return summed(_mm256_add_epi32(acc, _mm256_madd_epi16(w.odd, x.odd)));
}

// int4: a pair of products is at most 2 * 15 * 127 = 3 810, so eight of them fit i16 (30 480) and one madd serves 32
// inputs.
WEIR_INLINE void i4_load(const uint8_t* p, Int* low, Int* high) {
  const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i mask = _mm256_set1_epi8(15);
  *low = _mm256_and_si256(both, mask);
  *high = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
}
WEIR_INLINE Int i4_start(Int) { return _mm256_setzero_si256(); }
WEIR_INLINE Int i4_dot(Int acc, Int w, Int x) { return summed(_mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x))); }
WEIR_INLINE Int i4_end(Int acc, Int total) {
  return _mm256_add_epi32(total, _mm256_madd_epi16(acc, _mm256_set1_epi16(1)));
}
WEIR_INLINE Int i_offset4(const uint8_t* zeros, const uint8_t* offset) {
  return _mm256_mullo_epi32(i_load_u8(zeros), i_broadcast(offset));
}
WEIR_INLINE Reg i_to_float(Int a) { return _mm256_cvtepi32_ps(a); }

// Tiles. 16 registers. Float: 6 rows x 16 columns = 12 accumulators + 2 of weights + 1 broadcast = 15; one
// row takes one panel: two chains of latency 4 eat 32 bytes of bf16 in 4 cycles, what DRAM gives, in one
// stream. Int8: 4 rows = 8 accumulators + even and odd (4) + 2 of x + 1 product = 15. Int4: 4 rows = 8 + low and high
// (4) + 2 + 1 = 15. The float accumulators of both are touched once in 8 steps and may live in L1.
constexpr int kRowsFloat = 6;
constexpr int kRowsInt8 = 4;
constexpr int kRowsInt4 = 4;
constexpr int kRowsAttention = 4;
constexpr int panels_float(int rows) { return rows == 3 ? 2 : 1; }
