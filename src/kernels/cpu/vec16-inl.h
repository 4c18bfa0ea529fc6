// V16: sixteen f32 lanes whatever the register width, so that one body gives the same bits on every instruction
// set. Included by the per-ISA translation units, inside their namespaces, after isa_<name>-inl.h has defined
//   Reg, kLanes        a float register and its lanes
//   r_fma(a, b, c)     a*b + c, rounded once
//   r_select_lt(x, y, a, b)   x < y ? a : b by lane, false where either is NaN
//   r_max(a, b)        a where it is greater, else b: a NaN in a is passed over, as in the reference
//   r_any_lt(x, y)            whether x < y in any lane
//   r_add_exponent(p, t)      bits(p) + (bits(t) << 23)
//   r_load_u8(p), r_load_low_half(p), r_load_high_half(p)   kLanes bytes, or halves of bytes, as floats, all three
//                      with the same power of two added or none (constants.h): only differences mean anything
// and the obvious rest. Everything is forced inline and in an unnamed namespace: nothing reaches the linker.

constexpr int kRegs = 16 / kLanes;

struct V16 {
  Reg r[kRegs];
};

#define WEIR_EACH for (int weir_i = 0; weir_i < kRegs; ++weir_i)
#define WEIR_V16_BINARY(name, op)                           \
  WEIR_INLINE V16 name(V16 a, V16 b) {                      \
    V16 out;                                                \
    WEIR_EACH out.r[weir_i] = op(a.r[weir_i], b.r[weir_i]); \
    return out;                                             \
  }
WEIR_V16_BINARY(v_add, r_add)
WEIR_V16_BINARY(v_sub, r_sub)
WEIR_V16_BINARY(v_mul, r_mul)
WEIR_V16_BINARY(v_div, r_div)
WEIR_V16_BINARY(v_add_exponent, r_add_exponent)
WEIR_V16_BINARY(v_max, r_max)

WEIR_INLINE V16 v_set1(float x) {
  V16 out;
  WEIR_EACH out.r[weir_i] = r_set1(x);
  return out;
}
WEIR_INLINE V16 v_zero() { return v_set1(0.0f); }
WEIR_INLINE V16 v_abs(V16 a) {
  V16 out;
  WEIR_EACH out.r[weir_i] = r_abs(a.r[weir_i]);
  return out;
}
WEIR_INLINE V16 v_fma(V16 a, V16 b, V16 c) {
  V16 out;
  WEIR_EACH out.r[weir_i] = r_fma(a.r[weir_i], b.r[weir_i], c.r[weir_i]);
  return out;
}
WEIR_INLINE V16 v_select_lt(V16 x, V16 y, V16 a, V16 b) {
  V16 out;
  WEIR_EACH out.r[weir_i] = r_select_lt(x.r[weir_i], y.r[weir_i], a.r[weir_i], b.r[weir_i]);
  return out;
}

WEIR_INLINE bool v_any_lt(V16 x, V16 y) {
  bool any = false;
  WEIR_EACH any |= r_any_lt(x.r[weir_i], y.r[weir_i]);
  return any;
}

WEIR_INLINE V16 v_load(const float* p) {
  V16 out;
  WEIR_EACH out.r[weir_i] = r_load(p + weir_i * kLanes);
  return out;
}
WEIR_INLINE void v_store(float* p, V16 a) { WEIR_EACH r_store(p + weir_i * kLanes, a.r[weir_i]); }

// The first n lanes, 0 <= n <= 16; the others read as zero, and are not written.
WEIR_INLINE V16 v_load_part(const float* p, int64_t n) {
  if (n >= 16) return v_load(p);
  float lanes[16] = {};
  __builtin_memcpy(lanes, p, static_cast<size_t>(n) * 4);
  return v_load(lanes);
}
WEIR_INLINE void v_store_part(float* p, V16 a, int64_t n) {
  if (n >= 16) return v_store(p, a);
  float lanes[16];
  v_store(lanes, a);
  __builtin_memcpy(p, lanes, static_cast<size_t>(n) * 4);
}

// Lanes below n from a, the others from b.
WEIR_INLINE V16 v_first(int64_t n, V16 a, V16 b) {
  constexpr float kIndex[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return v_select_lt(v_load(kIndex), v_set1(static_cast<float>(n)), a, b);
}

// Fixed trees: lane i with i+8, +4, +2, +1.
WEIR_INLINE float v_tree_sum(V16 a) {
  float s[16];
  v_store(s, a);
  for (int i = 0; i < 8; ++i) s[i] += s[i + 8];
  for (int i = 0; i < 4; ++i) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}
WEIR_INLINE float v_tree_max(V16 a) {
  float s[16];
  v_store(s, a);
  for (int step = 8; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) s[i] = s[i + step] > s[i] ? s[i + step] : s[i];
  }
  return s[0];
}

// constants.h says how it works and how well. Of a difference to a maximum, which is never positive: v_exp's bits.
WEIR_INLINE V16 v_exp_of_negative(V16 x) {
  const V16 t = v_fma(x, v_set1(kLog2E), v_set1(kMagic));
  const V16 n = v_sub(t, v_set1(kMagic));
  const V16 r = v_fma(n, v_set1(kNegLn2Low), v_fma(n, v_set1(kNegLn2High), x));
  V16 p = v_fma(v_set1(kExp7), r, v_set1(kExp6));
  p = v_fma(p, r, v_set1(kExp5));
  p = v_fma(p, r, v_set1(kExp4));
  p = v_fma(p, r, v_set1(kExp3));
  p = v_fma(p, r, v_set1(kExp2));
  p = v_fma(p, r, v_set1(1.0f));
  p = v_fma(p, r, v_set1(1.0f));
  return v_select_lt(x, v_set1(kExpLow), v_zero(), v_add_exponent(p, t));
}
WEIR_INLINE V16 v_exp(V16 x) {
  return v_select_lt(v_set1(kExpHigh), x, v_set1(__builtin_inff()), v_exp_of_negative(x));
}

// Loads of what is stored, each widened exactly. kQuantised: integers that need a zero point and a scale. kPack:
// numbers in an element (int4 pairs them, kernels/kv_layer.h); load() gives the first, load_second() the other.
struct F32 {
  static constexpr bool kQuantised = false;
  static constexpr int kPack = 1;
  static constexpr int64_t kBytes = 4;
  WEIR_INLINE_MEMBER static Reg load(const uint8_t* p) { return r_load(reinterpret_cast<const float*>(p)); }
};
struct Bf16 {
  static constexpr bool kQuantised = false;
  static constexpr int kPack = 1;
  static constexpr int64_t kBytes = 2;
  WEIR_INLINE_MEMBER static Reg load(const uint8_t* p) { return r_load_bf16(p); }
};
struct F16 {
  static constexpr bool kQuantised = false;
  static constexpr int kPack = 1;
  static constexpr int64_t kBytes = 2;
  WEIR_INLINE_MEMBER static Reg load(const uint8_t* p) { return r_load_f16(p); }
};
struct Int8 {
  static constexpr bool kQuantised = true;
  static constexpr int kPack = 1;
  static constexpr int64_t kBytes = 1;
  WEIR_INLINE_MEMBER static Reg load(const uint8_t* p) { return r_load_u8(p); }
};
struct Int4 {
  static constexpr bool kQuantised = true;
  static constexpr int kPack = 2;
  static constexpr int64_t kBytes = 1;
  WEIR_INLINE_MEMBER static Reg load(const uint8_t* p) { return r_load_low_half(p); }
  WEIR_INLINE_MEMBER static Reg load_second(const uint8_t* p) { return r_load_high_half(p); }
};
template <class T>
WEIR_INLINE V16 v_load_second_as(const uint8_t* p) {
  V16 out;
  WEIR_EACH out.r[weir_i] = T::load_second(p + weir_i * kLanes * T::kBytes);
  return out;
}
template <class T>
WEIR_INLINE V16 v_load_as(const uint8_t* p) {
  V16 out;
  WEIR_EACH out.r[weir_i] = T::load(p + weir_i * kLanes * T::kBytes);
  return out;
}
