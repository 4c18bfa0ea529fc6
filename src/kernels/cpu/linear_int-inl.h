// Linear on panels of int8 and int4 (layout: kernel_table.h): exact integer dots of a group, then one fma chain over the
// groups. Included by the per-ISA translation units after linear_end-inl.h; isa_<name>-inl.h has defined
//   Weight8, w8_load(p)         kLanes columns x 4 inputs of int8, in the form its dot wants
//   X8, kX8Bytes, x8_store(to, four), x8_load(p)   4 activations, stored and broadcast
//   i8_start(offset), i8_dot(acc, w, x)            offset = -128 * (sum of x), for those who bias their weights
//   i4_load(p, &low, &high)     kLanes columns x 4 + 4 inputs, each 0..15
//   i4_start(total), i4_dot(acc, w, x), i4_end(acc, total)   a dot of 32 inputs on top of `total`
//   i_broadcast(p), i_offset4(zeros, p)            an i32 to all lanes; times kLanes zeros
//   i_to_float(a)
//
// Prepared activations of a tile, per group: { quads [group / 4][R], f32 scale [R], i32 offset [R] }.

template <int G, int64_t kQuad>
struct PreparedGroup {
  static constexpr int kGroup = G;
  static constexpr int64_t kQuadBytes = kQuad;
  static constexpr int64_t scales(int64_t rows) { return G / 4 * kQuad * rows; }
  static constexpr int64_t offsets(int64_t rows) { return scales(rows) + 4 * rows; }
  static constexpr int64_t prepared(int64_t rows) { return offsets(rows) + 4 * rows; }
  static_assert(prepared(1) * 32 <= kPreparedBytesMax * G);
};

#if defined(WEIR_MATRIX)
// out += dots of R rows with all columns over `pairs` x 8 inputs; load(pair, i, &first, &last) gives 4 + 4 inputs of the
// columns of register i.
template <int R, class Load>
WEIR_INLINE void matrix_dots(const uint8_t* x, int pairs, const Load& load, Int (&out)[R][kRegs]) {
  constexpr int kRowPairs = (R + 1) / 2;
  Int acc[kRowPairs][kRegs][2];
  for (int r = 0; r < kRowPairs; ++r) {
    for (int i = 0; i < kRegs; ++i) acc[r][i][0] = acc[r][i][1] = i_zero();
  }
  for (int pair = 0; pair < pairs; ++pair) {
    Int rows[kRowPairs];
    for (int r = 0; r < kRowPairs; ++r) rows[r] = i_row_pair(x, 2 * pair, R, 2 * r);
    for (int i = 0; i < kRegs; ++i) {
      Int first, last;
      load(pair, i, &first, &last);
      const ColumnPairs columns = i_column_pairs(first, last);
      for (int r = 0; r < kRowPairs; ++r) {
        acc[r][i][0] = i_matrix(acc[r][i][0], rows[r], columns.left);
        acc[r][i][1] = i_matrix(acc[r][i][1], rows[r], columns.right);
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < kRegs; ++i) {
      const Int left = acc[r / 2][i][0], right = acc[r / 2][i][1];
      out[r][i] = i_add(out[r][i], r % 2 == 0 ? i_first_row(left, right) : i_second_row(left, right));
    }
  }
}
#endif

struct Int8Weights : PreparedGroup<32, kX8Bytes> {
  static constexpr QuantLayout kLayout = kInt8Layout;
  static constexpr int32_t kOffset = -128;
  static constexpr int kRows = kRowsInt8;
  static constexpr int64_t kGroupBytes = 512;  // of weights, in a panel
  static void store_quad(uint8_t* to, const int8_t* four) { x8_store(to, four); }

  template <int R>
  WEIR_INLINE_MEMBER static void dot(const uint8_t* x, const uint8_t* w, const uint8_t*, Int (&out)[R][kRegs]) {
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < kRegs; ++i) out[r][i] = i8_start(x + offsets(R) + r * 4);
    }
#if defined(WEIR_MATRIX)
    if constexpr (R > 1) {
      return matrix_dots<R>(x, 4, [&](int pair, int i, Int* first, Int* last) {
        *first = i_load(w + 2 * pair * 64 + i * kLanes * 4);
        *last = i_load(w + (2 * pair + 1) * 64 + i * kLanes * 4);
      }, out);
    }
#endif
#pragma GCC unroll 8
    for (int quad = 0; quad < 8; ++quad) {
      Weight8 weight[kRegs];
      for (int i = 0; i < kRegs; ++i) weight[i] = w8_load(w + quad * 64 + i * kLanes * 4);
      for (int r = 0; r < R; ++r) {
        const X8 value = x8_load(x + (quad * R + r) * kX8Bytes);
        for (int i = 0; i < kRegs; ++i) out[r][i] = i8_dot(out[r][i], weight[i], value);
      }
    }
  }
};

template <int G, bool kZeros>
struct Int4Weights : PreparedGroup<G, 4> {
  using Base = PreparedGroup<G, 4>;
  static constexpr QuantLayout kLayout = G == 32 ? (kZeros ? kInt4ZG32Layout : kInt4G32Layout)
                                                 : (kZeros ? kInt4ZG64Layout : kInt4G64Layout);
  static constexpr int32_t kOffset = kZeros ? -1 : -8;
  static constexpr int kRows = kRowsInt4;
  static constexpr int64_t kGroupBytes = G * kPanel / 2;
  static void store_quad(uint8_t* to, const int8_t* four) { __builtin_memcpy(to, four, 4); }

  template <int R>
  WEIR_INLINE_MEMBER static void dot(const uint8_t* x, const uint8_t* w, const uint8_t* zeros, Int (&out)[R][kRegs]) {
    for (int r = 0; r < R; ++r) {
      const uint8_t* offset = x + Base::offsets(R) + r * 4;
      for (int i = 0; i < kRegs; ++i) {
        out[r][i] = kZeros ? i_offset4(zeros + i * kLanes, offset) : i_broadcast(offset);
      }
    }
#if defined(WEIR_MATRIX)
    if constexpr (R > 1) {
      return matrix_dots<R>(x, G / 8, [&](int pair, int i, Int* first, Int* last) {
        i4_load(w + pair * 64 + i * kLanes * 4, first, last);
      }, out);
    }
#endif
#pragma GCC unroll 2
    for (int part = 0; part < G / 32; ++part, x += 32 * R, w += 16 * kPanel) {
      Int acc[R][kRegs];
      for (int r = 0; r < R; ++r) {
        for (int i = 0; i < kRegs; ++i) acc[r][i] = i4_start(out[r][i]);
      }
#pragma GCC unroll 4
      for (int pair = 0; pair < 4; ++pair) {
        Int low[kRegs], high[kRegs];
        for (int i = 0; i < kRegs; ++i) i4_load(w + pair * 64 + i * kLanes * 4, &low[i], &high[i]);
        for (int r = 0; r < R; ++r) {
          const Int x_low = i_broadcast(x + (2 * pair * R + r) * 4), x_high = i_broadcast(x + ((2 * pair + 1) * R + r) * 4);
          for (int i = 0; i < kRegs; ++i) acc[r][i] = i4_dot(i4_dot(acc[r][i], low[i], x_low), high[i], x_high);
        }
      }
      for (int r = 0; r < R; ++r) {
        for (int i = 0; i < kRegs; ++i) out[r][i] = i4_end(acc[r][i], out[r][i]);
      }
    }
  }
};

template <class F>
WEIR_INLINE int64_t quant_groups(const LinearTask& task) {
  return (task.k + F::kLayout.super - 1) / F::kLayout.super * (F::kLayout.super / F::kGroup);
}

template <class F, int R>
void quant_kernel(const LinearTask& task, int64_t row, int64_t panel, const Ahead& ahead) {
  constexpr int64_t kGroups = F::kLayout.super / F::kGroup;
  constexpr int kLines = static_cast<int>((F::kGroupBytes + 32 + 63) / 64);
  const uint8_t* x = task.scratch + row * quant_groups<F>(task) * F::prepared(1);
  const uint8_t* super = task.weight + panel * task.panel_bytes;
  const int64_t supers = (task.k + F::kLayout.super - 1) / F::kLayout.super;
  Reg acc[R][kRegs];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < kRegs; ++i) acc[r][i] = r_zero();
  }
  Fetcher fetch(ahead);
  for (int64_t s = 0; s < supers; ++s, super += F::kLayout.super_bytes) {
#pragma GCC unroll 2
    for (int64_t g = 0; g < kGroups; ++g, x += F::prepared(R)) {
      const uint8_t* w = super + g * F::kGroupBytes;
      fetch.template step<kLines, 1>(&w, 0);
      Int dot[R][kRegs];
      F::template dot<R>(x, w, super + F::kLayout.zeros_offset + g * kPanel, dot);
      for (int i = 0; i < kRegs; ++i) {
        const Reg weight_scale = r_load_f16(super + F::kLayout.scales_offset + (g * kPanel + i * kLanes) * 2);
        for (int r = 0; r < R; ++r) {
          float row_scale;
          __builtin_memcpy(&row_scale, x + F::scales(R) + r * 4, 4);
          acc[r][i] = r_fma(i_to_float(dot[r][i]), r_mul(r_set1(row_scale), weight_scale), acc[r][i]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    V16 sum;
    WEIR_EACH sum.r[weir_i] = acc[r][weir_i];
    finish(task, row + r, panel, sum);
  }
}

template <class F>
struct QuantKernels {
  static constexpr int kRows = F::kRows;
  static constexpr int panels(int) { return 1; }
  template <int R, int P>
  static void run(const LinearTask& task, int64_t row, int64_t panel, const Ahead& ahead) {
    static_assert(P == 1);
    quant_kernel<F, R>(task, row, panel, ahead);
  }
};
