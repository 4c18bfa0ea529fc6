// Linear on panels of f32, f16 and bf16: y = x W^T, one fma chain per output. Included by the per-ISA translation units
// after linear_end-inl.h.
//
// Prepared activations of a tile: [k][R], so that one pointer walks all rows. Nothing is blocked along k: a row tile
// streams 4R bytes and a panel 32 or 64 bytes per k, against R * P / (FMA rate) cycles, which L2 supplies (AVX-512 12x2
// bf16: 112 bytes in 24 cycles; L2 gives 32 a cycle).

template <class T, int R, int P>
WEIR_INLINE void float_step(const float* x, const uint8_t* const* w, int64_t k, Reg (*acc)[P * kRegs]) {
  Reg weight[P * kRegs];
  for (int p = 0; p < P; ++p) {
    for (int i = 0; i < kRegs; ++i) weight[p * kRegs + i] = T::load(w[p] + (k * kPanel + i * kLanes) * T::kBytes);
  }
  for (int r = 0; r < R; ++r) {
    const Reg value = r_set1(x[k * R + r]);
    for (int i = 0; i < P * kRegs; ++i) acc[r][i] = r_fma(value, weight[i], acc[r][i]);
  }
}

template <class T, int R, int P>
void float_kernel(const LinearTask& task, int64_t row, int64_t panel, const Ahead& ahead) {
  constexpr int64_t kStep = 64 / (kPanel * T::kBytes) * 2;  // k per two cache lines of a panel
  const float* x = reinterpret_cast<const float*>(task.scratch) + row * task.k;
  if (R == 1 && task.norm == nullptr) x = task.x + row * task.x_stride;
  const uint8_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = task.weight + (panel + p) * task.panel_bytes;
  Reg acc[R][P * kRegs];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < P * kRegs; ++i) acc[r][i] = r_zero();
  }
  int64_t k = 0;
  Fetcher fetch(ahead);
  for (; k + kStep <= task.k; k += kStep) {
    fetch.template step<2, P>(w, k * kPanel * T::kBytes);
#pragma GCC unroll 4
    for (int64_t step = 0; step < kStep; ++step) float_step<T, R, P>(x, w, k + step, acc);
  }
  for (; k < task.k; ++k) float_step<T, R, P>(x, w, k, acc);
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) {
      V16 sum;
      WEIR_EACH sum.r[weir_i] = acc[r][p * kRegs + weir_i];
      finish(task, row + r, panel + p, sum);
    }
  }
}

template <class T>
struct FloatKernels {
  static constexpr int kRows = kRowsFloat;
  static constexpr int panels(int rows) { return panels_float(rows); }
  template <int R, int P>
  static void run(const LinearTask& task, int64_t row, int64_t panel, const Ahead& ahead) {
    float_kernel<T, R, P>(task, row, panel, ahead);
  }
};
