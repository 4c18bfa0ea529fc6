// Armv8.2 NEON with the dot-product extension as the bodies see it: one register is 4 lanes, a panel of 16 is four.
// Included by neon.cc and neoni8mm.cc, each inside its namespace. See vec16-inl.h for what each operation must mean.

using Reg = float32x4_t;
using Int = int32x4_t;
constexpr int kLanes = 4;

WEIR_INLINE Reg r_zero() { return vdupq_n_f32(0.0f); }
WEIR_INLINE Reg r_set1(float x) { return vdupq_n_f32(x); }
WEIR_INLINE Reg r_load(const float* p) { return vld1q_f32(p); }
WEIR_INLINE void r_store(float* p, Reg a) { vst1q_f32(p, a); }
WEIR_INLINE Reg r_add(Reg a, Reg b) { return vaddq_f32(a, b); }
WEIR_INLINE Reg r_sub(Reg a, Reg b) { return vsubq_f32(a, b); }
WEIR_INLINE Reg r_mul(Reg a, Reg b) { return vmulq_f32(a, b); }
WEIR_INLINE Reg r_div(Reg a, Reg b) { return vdivq_f32(a, b); }
WEIR_INLINE Reg r_fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
WEIR_INLINE Reg r_abs(Reg a) { return vabsq_f32(a); }
WEIR_INLINE Reg r_select_lt(Reg x, Reg y, Reg a, Reg b) { return vbslq_f32(vcltq_f32(x, y), a, b); }
WEIR_INLINE Reg r_max(Reg a, Reg b) { return r_select_lt(b, a, a, b); }  // vmaxq would let NaN through
WEIR_INLINE bool r_any_lt(Reg x, Reg y) { return vmaxvq_u32(vcltq_f32(x, y)) != 0; }
WEIR_INLINE Reg r_add_exponent(Reg p, Reg t) {
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vreinterpretq_s32_f32(t), 23)));
}
WEIR_INLINE Reg r_load_bf16(const uint8_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}
WEIR_INLINE Reg r_load_f16(const uint8_t* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
WEIR_INLINE uint16x4_t i_load_u8(const uint8_t* p) {
  uint32_t four;
  __builtin_memcpy(&four, p, 4);
  return vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
}
WEIR_INLINE Reg r_load_u8(const uint8_t* p) { return vcvtq_f32_u32(vmovl_u16(i_load_u8(p))); }
WEIR_INLINE Reg r_load_low_half(const uint8_t* p) {
  return vcvtq_f32_u32(vmovl_u16(vand_u16(i_load_u8(p), vdup_n_u16(15))));
}
WEIR_INLINE Reg r_load_high_half(const uint8_t* p) { return vcvtq_f32_u32(vmovl_u16(vshr_n_u16(i_load_u8(p), 4))); }

// Low bytes of kLanes 32-bit lanes.
WEIR_INLINE void r_store_low_bytes(uint8_t* to, Reg t) {
  const uint16x4_t words = vmovn_u32(vreinterpretq_u32_f32(t));
  const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
  vst1_lane_u32(reinterpret_cast<uint32_t*>(to), vreinterpret_u32_u8(bytes), 0);
}

WEIR_INLINE Int i_zero() { return vdupq_n_s32(0); }
WEIR_INLINE Int i_add(Int a, Int b) { return vaddq_s32(a, b); }
WEIR_INLINE Int i_load(const uint8_t* p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
WEIR_INLINE Int i_broadcast(const uint8_t* p) {
  int32_t x;
  __builtin_memcpy(&x, p, 4);
  return vdupq_n_s32(x);
}
// sdot takes signed bytes of both: int8 as it is, and 0..15 of int4 are signed bytes too.
using Weight8 = int8x16_t;
using X8 = int32x4_t;
constexpr int64_t kX8Bytes = 4;
WEIR_INLINE Weight8 w8_load(const uint8_t* p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }
WEIR_INLINE void x8_store(uint8_t* to, const int8_t* four) { __builtin_memcpy(to, four, 4); }
WEIR_INLINE X8 x8_load(const uint8_t* p) { return i_broadcast(p); }
WEIR_INLINE Int i8_start(const uint8_t*) { return vdupq_n_s32(0); }
WEIR_INLINE Int i8_dot(Int acc, Weight8 w, X8 x) { return vdotq_s32(acc, w, vreinterpretq_s8_s32(x)); }
WEIR_INLINE void i4_load(const uint8_t* p, Int* low, Int* high) {
  const uint8x16_t both = vld1q_u8(p);
  *low = vreinterpretq_s32_u8(vandq_u8(both, vdupq_n_u8(15)));
  *high = vreinterpretq_s32_u8(vshrq_n_u8(both, 4));
}
#if defined(WEIR_MATRIX)
// smmla: a 2 x 2 block of dots of 8 signed bytes, twice the products of sdot. Its operands hold 8 inputs of two rows and
// of two columns; the layout has 4 inputs of 4 columns in a register, so two registers are zipped, once for all rows.
struct ColumnPairs {
  Int left, right;  // columns 0 and 1, 2 and 3
};
WEIR_INLINE ColumnPairs i_column_pairs(Int first_four, Int last_four) {
  return {vzip1q_s32(first_four, last_four), vzip2q_s32(first_four, last_four)};
}
// Rows r and r + 1 of a tile of `rows`, 8 inputs from quad `quad`; the last of an odd number is taken twice.
WEIR_INLINE Int i_row_pair(const uint8_t* x, int quad, int rows, int r) {
  const int second = r + 1 < rows ? r + 1 : r;
  int32_t four[4];
  __builtin_memcpy(&four[0], x + (quad * rows + r) * 4, 4);
  __builtin_memcpy(&four[1], x + ((quad + 1) * rows + r) * 4, 4);
  __builtin_memcpy(&four[2], x + (quad * rows + second) * 4, 4);
  __builtin_memcpy(&four[3], x + ((quad + 1) * rows + second) * 4, 4);
  return vld1q_s32(four);
}
WEIR_INLINE Int i_matrix(Int acc, Int row_pair, Int column_pair) {
  return vmmlaq_s32(acc, vreinterpretq_s8_s32(row_pair), vreinterpretq_s8_s32(column_pair));
}
WEIR_INLINE Int i_first_row(Int left, Int right) { return vcombine_s32(vget_low_s32(left), vget_low_s32(right)); }
WEIR_INLINE Int i_second_row(Int left, Int right) { return vcombine_s32(vget_high_s32(left), vget_high_s32(right)); }
#endif
WEIR_INLINE Int i4_start(Int total) { return total; }
WEIR_INLINE Int i4_dot(Int acc, Int w, Int x) {
  return vdotq_s32(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x));
}
WEIR_INLINE Int i4_end(Int acc, Int) { return acc; }
WEIR_INLINE Int i_offset4(const uint8_t* zeros, const uint8_t* offset) {
  return vmulq_s32(vreinterpretq_s32_u32(vmovl_u16(i_load_u8(zeros))), i_broadcast(offset));
}
WEIR_INLINE Reg i_to_float(Int a) { return vcvtq_f32_s32(a); }

// Tiles. 32 registers. Float: 6 rows x 16 columns = 24 accumulators + 4 of weights + broadcasts; one row takes 2
// panels (8 chains, FMLA latency 4). Int8: 4 rows = 16 integer accumulators + 4 of weights + x; the
// float accumulators are touched once in 8 steps.
constexpr int kRowsFloat = 6;
// Matrix dots: 6 rows = 3 pairs x 8 column pairs = 24 accumulators + 2 of weights + 3 of rows.
#if defined(WEIR_MATRIX)
constexpr int kRowsInt8 = 6;
constexpr int kRowsInt4 = 6;
#else
constexpr int kRowsInt8 = 4;
constexpr int kRowsInt4 = 4;
#endif
constexpr int kRowsAttention = 4;
constexpr int panels_float(int rows) { return rows <= 3 ? 2 : 1; }
