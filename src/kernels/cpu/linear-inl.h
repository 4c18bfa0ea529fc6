// Linear: y = x W^T on packed panels (layout: kernel_table.h). Included by the per-ISA translation units after
// vec16-inl.h.
//
// A micro-kernel takes R rows and P panels and runs the whole of k with its accumulators in registers: one fma
// chain per output, so that R, P and the cut into workers cannot change a bit. Nothing is blocked along k: a row
// tile streams 4R bytes and a panel 32 or 64 bytes per k, against R*P/ (FMA rate) cycles, which L2 supplies
// (AVX-512 12x2 bf16: 112 bytes in 24 cycles; L2 gives 32 a cycle). Weights come from DRAM once, for the first row
// tile of a block of panels; the block is small enough to be in L2 for the others.

constexpr int64_t kPrefetchBytes =
    2048;  // ahead in each panel: ~100 ns of DRAM latency at 20 bytes/ns, in every stream

WEIR_INLINE int64_t tile_row(const LinearTask& task, int64_t tile) { return tile * task.rows / task.tiles; }

// bias, accumulate, the right edge.
WEIR_INLINE void finish(const LinearTask& task, int64_t row, int64_t panel, V16 sum) {
  const int64_t col = panel * kPanel;
  const int64_t left = task.n - col;
  float* out = task.out + row * task.out_stride + col;
  if (task.bias != nullptr) sum = v_add(sum, v_load_part(task.bias + col, left));
  if (task.accumulate) sum = v_add(sum, v_load_part(out, left));
  v_store_part(out, sum, left);
}

// ---- float weights. Prepared activations of a tile: [k][R], so one pointer walks all rows. ----

void prepare_float_tile(const LinearTask& task, int64_t tile) {
  const int64_t first = tile_row(task, tile);
  const int64_t rows = tile_row(task, tile + 1) - first;
  float* to = reinterpret_cast<float*>(task.scratch) + first * task.k;
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = task.x + (first + r) * task.x_stride;
    for (int64_t k = 0; k < task.k; ++k) to[k * rows + r] = x[k];
  }
}

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
void float_kernel(const LinearTask& task, int64_t row, int64_t panel) {
  constexpr int64_t kStep = 64 / (kPanel * T::kBytes) * 2;  // k per two cache lines of a panel
  const float* x =
      R == 1 ? task.x + row * task.x_stride : reinterpret_cast<const float*>(task.scratch) + row * task.k;
  const uint8_t* w[P];
  for (int p = 0; p < P; ++p) w[p] = task.weight + (panel + p) * task.panel_bytes;
  Reg acc[R][P * kRegs];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < P * kRegs; ++i) acc[r][i] = r_zero();
  }
  int64_t k = 0;
  for (; k + kStep <= task.k; k += kStep) {
    for (int p = 0; p < P; ++p) {
      __builtin_prefetch(w[p] + k * kPanel * T::kBytes + kPrefetchBytes);
      __builtin_prefetch(w[p] + k * kPanel * T::kBytes + kPrefetchBytes + 64);
    }
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

struct FloatKernels {
  static constexpr int kRows = kRowsFloat;
  static constexpr int panels(int rows) { return panels_float(rows); }
};
template <class T>
struct FloatKernelsOf : FloatKernels {
  template <int R, int P>
  static void run(const LinearTask& task, int64_t row, int64_t panel) {
    float_kernel<T, R, P>(task, row, panel);
  }
};

// ---- int8 weights. Prepared activations of a tile: per group of 32 { int8 [8][R][4], f32 [R], i32 [R] }. ----

void prepare_int8_group(const float* x, int64_t count, int64_t rows, int64_t r, uint8_t* to) {
  const V16 a = v_load_part(x, count);
  const V16 b = count > 16 ? v_load_part(x + 16, count - 16) : v_zero();
  const float amax = v_tree_max(v_max(v_abs(a), v_max(v_abs(b), v_zero())));
  const bool zero = !(amax >= kQuantTiny);
  const V16 inverse = v_set1(zero ? 0.0f : 127.0f / amax);
  const V16 magic = v_set1(kMagic);
  const V16 qa = v_add(v_mul(a, inverse), magic);
  const V16 qb = v_add(v_mul(b, inverse), magic);
  uint8_t bytes[32];
  WEIR_EACH {
    r_store_low_bytes(bytes + weir_i * kLanes, qa.r[weir_i]);
    r_store_low_bytes(bytes + 16 + weir_i * kLanes, qb.r[weir_i]);
  }
  int32_t sum = 0;
  for (int i = 0; i < 32; ++i) sum += static_cast<int8_t>(bytes[i]);
  const float scale = zero ? 0.0f : amax / 127.0f;
  const int32_t offset = -128 * sum;
  for (int i = 0; i < 8; ++i) __builtin_memcpy(to + (i * rows + r) * 4, bytes + i * 4, 4);
  __builtin_memcpy(to + 32 * rows + r * 4, &scale, 4);
  __builtin_memcpy(to + 36 * rows + r * 4, &offset, 4);
}

WEIR_INLINE int64_t int8_groups(const LinearTask& task) { return (task.k + kSuper - 1) / kSuper * 2; }

void prepare_int8_tile(const LinearTask& task, int64_t tile) {
  const int64_t first = tile_row(task, tile);
  const int64_t rows = tile_row(task, tile + 1) - first;
  const int64_t groups = int8_groups(task);
  uint8_t* to = task.scratch + first * groups * kRowGroupBytes;
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = task.x + (first + r) * task.x_stride;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t left = task.k - g * kGroup;
      prepare_int8_group(x + g * kGroup,
                         left < 0        ? 0
                         : left < kGroup ? left
                                         : kGroup,
                         rows, r, to + g * rows * kRowGroupBytes);
    }
  }
}

template <int R, int P>
WEIR_INLINE void int8_group(const uint8_t* x, const uint8_t* const* w, const uint8_t* const* scales,
                            Reg (*acc)[P * kRegs]) {
  Int dot[R][P * kRegs];
  for (int r = 0; r < R; ++r) {
    int32_t offset;
    __builtin_memcpy(&offset, x + 36 * R + r * 4, 4);
    for (int i = 0; i < P * kRegs; ++i) dot[r][i] = i_start(offset);
  }
#pragma GCC unroll 8
  for (int quad = 0; quad < 8; ++quad) {
    Weight weight[P * kRegs];
    for (int p = 0; p < P; ++p) {
      for (int i = 0; i < kRegs; ++i) weight[p * kRegs + i] = i_weight(w[p] + quad * 64 + i * kLanes * 4);
    }
    for (int r = 0; r < R; ++r) {
      int32_t x4;
      __builtin_memcpy(&x4, x + (quad * R + r) * 4, 4);
      for (int i = 0; i < P * kRegs; ++i) dot[r][i] = i_dot(dot[r][i], weight[i], x4);
    }
  }
  for (int p = 0; p < P; ++p) {
    for (int i = 0; i < kRegs; ++i) {
      const Reg weight_scale = r_load_f16(scales[p] + i * kLanes * 2);
      for (int r = 0; r < R; ++r) {
        float row_scale;
        __builtin_memcpy(&row_scale, x + 32 * R + r * 4, 4);
        Reg* sum = &acc[r][p * kRegs + i];
        *sum = r_fma(i_to_float(dot[r][p * kRegs + i]), r_mul(r_set1(row_scale), weight_scale), *sum);
      }
    }
  }
}

template <int R, int P>
void int8_kernel(const LinearTask& task, int64_t row, int64_t panel) {
  const int64_t groups = int8_groups(task);
  const uint8_t* x = task.scratch + row * groups * kRowGroupBytes;
  const uint8_t* base[P];
  for (int p = 0; p < P; ++p) base[p] = task.weight + (panel + p) * task.panel_bytes;
  Reg acc[R][P * kRegs];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < P * kRegs; ++i) acc[r][i] = r_zero();
  }
  for (int64_t g = 0; g < groups; ++g, x += R * kRowGroupBytes) {
    const uint8_t* w[P];
    const uint8_t* scales[P];
    for (int p = 0; p < P; ++p) {
      const uint8_t* super = base[p] + g / 2 * kSuperBytes;
      w[p] = super + g % 2 * (kGroup * kPanel);
      scales[p] = super + kSuper * kPanel + g % 2 * (kPanel * 2);
      for (int line = 0; line < 9; ++line) __builtin_prefetch(w[p] + kPrefetchBytes + line * 64);
    }
    int8_group<R, P>(x, w, scales, acc);
  }
  for (int r = 0; r < R; ++r) {
    for (int p = 0; p < P; ++p) {
      V16 sum;
      WEIR_EACH sum.r[weir_i] = acc[r][p * kRegs + weir_i];
      finish(task, row + r, panel + p, sum);
    }
  }
}

struct Int8Kernels {
  static constexpr int kRows = kRowsInt8;
  static constexpr int panels(int rows) { return panels_int8(rows); }
  template <int R, int P>
  static void run(const LinearTask& task, int64_t row, int64_t panel) {
    int8_kernel<R, P>(task, row, panel);
  }
};

// ---- choosing R and P ----

// `count` panels for R rows: as many at once as the registers allow, then halves.
template <class Kernels, int R, int P>
void panels_of(const LinearTask& task, int64_t row, int64_t panel, int64_t count) {
  for (; count >= P; count -= P, panel += P) Kernels::template run<R, P>(task, row, panel);
  if constexpr (P > 1) {
    if (count > 0) panels_of<Kernels, R, P / 2>(task, row, panel, count);
  }
}

template <class Kernels, int R>
void rows_of(const LinearTask& task, int64_t rows, int64_t row, int64_t panel, int64_t count) {
  if (rows == R) return panels_of<Kernels, R, Kernels::panels(R)>(task, row, panel, count);
  if constexpr (R > 1) rows_of<Kernels, R - 1>(task, rows, row, panel, count);
}

// Blocks of panels outside, row tiles inside: DRAM is read once. With one tile the block may be long.
template <class Kernels>
void run_panels(const LinearTask& task, int64_t begin, int64_t end) {
  constexpr int64_t kWide = 2;
  const int64_t block = task.tiles == 1 ? end - begin : kWide;
  for (int64_t panel = begin; panel < end; panel += block) {
    const int64_t count = end - panel < block ? end - panel : block;
    for (int64_t tile = 0; tile < task.tiles; ++tile) {
      const int64_t row = tile_row(task, tile);
      rows_of<Kernels, Kernels::kRows>(task, tile_row(task, tile + 1) - row, row, panel, count);
    }
  }
}

void linear_prepare(const LinearTask& task, int64_t begin, int64_t end) {
  if (task.format != WeightFormat::kInt8G32 && task.rows == 1) return;  // the kernel for one row reads x itself
  for (int64_t tile = begin; tile < end; ++tile) {
    task.format == WeightFormat::kInt8G32 ? prepare_int8_tile(task, tile) : prepare_float_tile(task, tile);
  }
}

void linear_panels(const LinearTask& task, int64_t begin, int64_t end) {
  switch (task.format) {
    case WeightFormat::kF32:
      return run_panels<FloatKernelsOf<F32>>(task, begin, end);
    case WeightFormat::kF16:
      return run_panels<FloatKernelsOf<F16>>(task, begin, end);
    case WeightFormat::kBF16:
      return run_panels<FloatKernelsOf<Bf16>>(task, begin, end);
    case WeightFormat::kInt8G32:
      return run_panels<Int8Kernels>(task, begin, end);
  }
}
