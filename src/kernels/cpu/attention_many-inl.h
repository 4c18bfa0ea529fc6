// One tile of attention for many rows (prefill): two small matrix products, each with its B side widened to f32 once
// and kept in L1 while all rows pass by. Included after attention_state-inl.h.
//
// A panel is 32 columns (positions of K, dimensions of V) of all steps: 8 KiB at head size 64. Runs of up to
// kRowsRun rows go through it with the accumulators in registers. AVX-512: 12 rows x 2 registers = 24 accumulators
// + 2 of the panel + 1 broadcast of 32 registers; a step is 24 multiply-adds to 14 loads. AVX2: 6 rows x 2 registers
// = 12 + 2 + 1 of 16, 12 multiply-adds to 8 loads, in two halves of the panel; 3 rows or fewer take the whole panel.
// NEON: 6 rows x 4 registers = 24 + 4 + 1 of 32. Every loaded number is used by all rows of a run, every widened one
// by up to 64 rows, so widening costs a few percent in any format.

constexpr int kRowsRun = kRegs == 1 ? 12 : 6;
constexpr int kAccumulators = kRegs == 2 ? 12 : 24;
constexpr int groups_at_once(int rows) { return rows * kRegs * 2 <= kAccumulators ? 2 : 1; }

// The numbers of K of `groups` x 16 positions from group `group` of the tile: panel[d][32].
template <class T>
void widen_keys(AttentionState* state, const KvHead& kv, int64_t from, int group, int groups) {
  const int64_t tokens = kv.kv->block_tokens, dims = kv.kv->head_dim;
  for (int g = 0; g < groups; ++g) {
    const int64_t position = from + (group + g) * 16;
    const uint8_t* k = kv.block(position) + position % tokens * T::kBytes;
    const int64_t ahead = kv.ahead(position, T::kBytes);
    float* to = state->panel + g * 16;
    const V16 zero = T::kQuantised ? v_load(state->k_zero + (group + g) * 16) : v_zero();
    for (int64_t d = 0; d < dims; d += T::kPack, k += tokens * T::kBytes, to += T::kPack * kPanelWidth) {
      if (g == 0) prefetch(k + ahead, groups * 16 * T::kBytes);
      v_store(to, T::kQuantised ? v_sub(v_load_as<T>(k), zero) : v_load_as<T>(k));
      if constexpr (T::kPack == 2) v_store(to + kPanelWidth, v_sub(v_load_second_as<T>(k), zero));
    }
  }
}

// Of V: dimensions [dim, dim + 16 * groups) of the tile's first `count` positions: panel[position][32].
template <class T>
void widen_values(AttentionState* state, const KvHead& kv, int64_t from, int64_t count, int64_t dim, int groups) {
  const int64_t tokens = kv.kv->block_tokens, stride = value_bytes<T>(*kv.kv);
  const uint8_t* v = nullptr;
  int64_t ahead = 0;
  float* to = state->panel;
  for (int64_t j = 0; j < count; ++j, v += stride, to += kPanelWidth) {
    const int64_t slot = (from + j) % tokens;
    if (j == 0 || slot == 0) {
      v = kv.block(from + j) + kv.kv->v_offset + slot * stride + dim * T::kBytes / T::kPack;
      ahead = kv.ahead(from + j, stride);
    }
    prefetch(v + ahead, 1);
    const V16 zero = T::kQuantised ? v_set1(state->v_zero[j]) : v_zero();
    if constexpr (T::kPack == 2) {
      v_store(to, v_sub(v_load_as<T>(v), zero));
      v_store(to + 16, v_sub(v_load_second_as<T>(v), zero));
    } else {
      for (int g = 0; g < groups; ++g) {
        const V16 value = v_load_as<T>(v + g * 16 * T::kBytes);
        v_store(to + g * 16, T::kQuantised ? v_sub(value, zero) : value);
      }
    }
  }
}

// acc[r] += a[r * kRow + step * kStep] * panel[step], for every step.
template <int R, int G, int kRow, int kStep>
WEIR_INLINE void multiply(const float* a, const float* panel, int64_t steps, V16 (&acc)[R][G]) {
  for (int64_t step = 0; step < steps; ++step, a += kStep, panel += kPanelWidth) {
    V16 b[G];
    for (int g = 0; g < G; ++g) b[g] = v_load(panel + g * 16);
    for (int r = 0; r < R; ++r) {
      const V16 x = v_set1(a[r * kRow]);
      for (int g = 0; g < G; ++g) acc[r][g] = v_fma(x, b[g], acc[r][g]);
    }
  }
}

template <int R, int G>
void score_panel(AttentionState* state, int row, int64_t dims, int group, int in_panel) {
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = v_zero();
  }
  multiply<R, G, 1, R>(state->packed_q + row * dims, state->panel + in_panel * 16, dims, acc);
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(state->p[row + r] + (group + in_panel + g) * 16, acc[r][g]);
  }
}

// Scores of a run of rows with the panel's positions, as far as one of them sees any.
template <int R>
void score_run(AttentionState* state, int row, int rows, int64_t dims, int group, int groups) {
  if (rows != R) {
    if constexpr (R > 1) score_run<R - 1>(state, row, rows, dims, group, groups);
    return;
  }
  constexpr int kAtOnce = groups_at_once(R);
  int64_t most = 0;
  for (int r = 0; r < R; ++r) most = state->count[row + r] > most ? state->count[row + r] : most;
  for (int g = 0; g < groups && (group + g) * 16 < most;) {
    if (g + kAtOnce <= groups) {
      score_panel<R, kAtOnce>(state, row, dims, group, g);
      g += kAtOnce;
    } else {
      score_panel<R, 1>(state, row, dims, group, g++);
    }
  }
}

// o += p * V: all rows together as far as all see, then position by position those that do.
template <int R, int G>
void value_panel(AttentionState* state, int row, int64_t dim, int in_panel, int64_t least, int64_t most) {
  float* o = state->o + row * state->stride + dim + in_panel * 16;
  const float* panel = state->panel + in_panel * 16;
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = v_load(o + r * state->stride + g * 16);
  }
  multiply<R, G, kScoreTile, 1>(state->p[row], panel, least, acc);
  for (int64_t j = least; j < most; ++j) {
    for (int r = 0; r < R; ++r) {
      if (j >= state->count[row + r]) continue;
      const V16 p = v_set1(state->p[row + r][j]);
      for (int g = 0; g < G; ++g) acc[r][g] = v_fma(p, v_load(panel + j * kPanelWidth + g * 16), acc[r][g]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(o + r * state->stride + g * 16, acc[r][g]);
  }
}

template <int R>
void value_run(AttentionState* state, int row, int rows, int64_t dim, int groups) {
  if (rows != R) {
    if constexpr (R > 1) value_run<R - 1>(state, row, rows, dim, groups);
    return;
  }
  constexpr int kAtOnce = groups_at_once(R);
  int64_t most = 0, least = kScoreTile;
  for (int r = 0; r < R; ++r) {
    const int64_t count = state->count[row + r];
    most = count > most ? count : most;
    least = count < least ? count : least;
  }
  if (most == 0) return;
  for (int g = 0; g < groups;) {
    if (g + kAtOnce <= groups) {
      value_panel<R, kAtOnce>(state, row, dim, g, least, most);
      g += kAtOnce;
    } else {
      value_panel<R, 1>(state, row, dim, g++, least, most);
    }
  }
}

template <class T>
void attend_many(AttentionState* state, const KvHead& kv, int64_t from, int64_t most, float scale) {
  const int64_t dims = kv.kv->head_dim;
  const int tile_groups = static_cast<int>((most + 15) / 16);
  for (int group = 0; group < tile_groups; group += kPanelGroups) {
    const int groups = tile_groups - group < kPanelGroups ? tile_groups - group : kPanelGroups;
    widen_keys<T>(state, kv, from, group, groups);
    for (int run = 0; run < state->runs; ++run) {
      const int row = run_row(*state, run);
      score_run<kRowsRun>(state, row, run_row(*state, run + 1) - row, dims, group, groups);
    }
  }
  for (int row = 0; row < state->rows; ++row) softmax_tile<T::kQuantised>(state, row, scale);
  const int64_t padded = value_bytes<T>(*kv.kv) / T::kBytes * T::kPack;
  for (int64_t dim = 0; dim < padded; dim += kPanelWidth) {
    const int groups = padded - dim < kPanelWidth ? 1 : kPanelGroups;
    widen_values<T>(state, kv, from, most, dim, groups);
    for (int run = 0; run < state->runs; ++run) {
      const int row = run_row(*state, run);
      value_run<kRowsRun>(state, row, run_row(*state, run + 1) - row, dim, groups);
    }
  }
}
