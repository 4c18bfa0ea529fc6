// The loops of mixes.h, written once. Included by mixes_avx2.cc and mixes_avx512.cc inside a namespace of their
// own, after Int, Reg, the register operations and WEIR_REGISTER (the asm constraint of a vector register) are
// defined.

// Says that the value may have changed, so that the compiler neither moves an instruction out of the loop, nor
// merges two that look alike, nor puts a hundred products before the first sum (gcc 12 does, and spills them).
// Emits nothing.
#if !defined(WEIR_FRESH)
#define WEIR_FRESH(value) asm volatile("" : "+" WEIR_REGISTER(value))
#endif

// Calls f(At<0>), f(At<1>)...: indices that are constants from the start keep small arrays in registers.
template <int kIndex>
struct At {
  static constexpr int value = kIndex;
};
template <int kCount, int kIndex = 0, class F>
__attribute__((always_inline)) inline void each(const F& f) {
  if constexpr (kIndex < kCount) {
    f(At<kIndex>{});
    each<kCount, kIndex + 1>(f);
  }
}

// kChains accumulators hide the latency of one dot; kSteps dots make 32 products deep (4 products in a 32-bit
// lane).
constexpr int kSteps = 8;

template <class Dot, int kChains>
__attribute__((always_inline)) inline void group(Int (&sum)[kChains], Int& w, Int& x) {
  each<kSteps>([&](auto) {
    WEIR_FRESH(w);
    each<kChains>([&](auto j) {
      WEIR_FRESH(x);
      sum[j.value] = Dot::dot(sum[j.value], w, x);
      WEIR_FRESH(sum[j.value]);
    });
  });
}

template <class Dot, int kChains>
void dots_alone(int64_t steps) {
  Int sum[kChains], w = Dot::some(), x = Dot::some();
  each<kChains>([&](auto j) { sum[j.value] = Dot::start(); });
  for (int64_t i = 0; i < steps; ++i) group<Dot, kChains>(sum, w, x);
}

template <class Dot, int kChains>
void dots_scaled(int64_t steps) {
  Int w = Dot::some(), x = Dot::some();
  Reg total[kChains], weight_scale = r_some(), row_scale = r_some();
  each<kChains>([&](auto j) { total[j.value] = r_some(); });
  for (int64_t i = 0; i < steps; ++i) {
    Int sum[kChains];
    each<kChains>([&](auto j) { sum[j.value] = Dot::start(); });
    group<Dot, kChains>(sum, w, x);
    each<kChains>([&](auto j) {
      WEIR_FRESH(row_scale);
      total[j.value] = r_fma(r_from_int(Dot::widen(sum[j.value])), r_mul(row_scale, weight_scale), total[j.value]);
      WEIR_FRESH(total[j.value]);
    });
  }
}

template <int kChains>
void fma_chains(int64_t steps) {
  Reg sum[kChains], x = r_some(), y = r_some();
  each<kChains>([&](auto j) { sum[j.value] = r_some(); });
  for (int64_t i = 0; i < steps; ++i) {
    each<kSteps>([&](auto) {
      each<kChains>([&](auto j) {
        sum[j.value] = r_fma(sum[j.value], x, y);
        WEIR_FRESH(sum[j.value]);
      });
    });
  }
}
