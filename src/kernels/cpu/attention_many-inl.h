// One tile of attention for many rows (prefill): two small matrix products, each with its B side widened to f32
// once and kept in L1 while all rows pass by. Included after attention_state-inl.h.
//
// A panel is 32 columns (positions of K, dimensions of V) of all steps: 8 KiB at head size 64. Runs of up to
// kRowsRun rows go through it with the accumulators in registers. AVX-512: 12 rows x 2 registers = 24 accumulators
// + 2 of the panel + 1 broadcast of 32 registers; a step is 24 multiply-adds to 14 loads. AVX2: 6 rows x 2
// registers = 12 + 2 + 1 of 16, 12 multiply-adds to 8 loads, in two halves of the panel; 3 rows or fewer take the
// whole panel. NEON: 6 rows x 4 registers = 24 + 4 + 1 of 32. Every loaded number is used by all rows of a run,
// every widened one by up to 96 rows, so widening costs 3 % in any format.

constexpr int kRowsRun = kRegs == 1 ? 12 : 6;
constexpr int kRowsLeast = kRowsRun / 2;  // runs of equal length, of more rows than are few, have no fewer
static_assert(kRowsAttention + 1 >= kRowsLeast);
constexpr int kAccumulators = kRegs == 2 ? 12 : 24;
constexpr int groups_at_once(int rows) { return rows * kRegs * 2 <= kAccumulators ? 2 : 1; }

// The numbers of K of G x 16 positions from group `group` of the tile: panel[d][32].
template <class T, int G>
void widen_keys(AttentionState* state, const KvHead& kv, int64_t from, int group) {
  const int64_t tokens = kv.kv->block_tokens, dims = kv.kv->head_dim, step = tokens * T::kBytes;
  const uint8_t* k[G];
  V16 zero[G];
  for (int g = 0; g < G; ++g) {
    const int64_t position = from + (group + g) * 16;
    k[g] = kv.block(position) + position % tokens * T::kBytes;
    zero[g] = T::kQuantised ? v_load(state->k_zero + (group + g) * 16) : v_zero();
  }
  state->next = k[0] + kv.ahead(from + group * 16, T::kBytes);
  state->next_step = step / T::kPack;
  float* to = state->panel;
  for (int64_t d = 0; d < dims; d += T::kPack, to += T::kPack * kPanelWidth) {
    for (int g = 0; g < G; ++g) {
      const V16 key = v_load_as<T>(k[g]);
      v_store(to + g * 16, T::kQuantised ? v_sub(key, zero[g]) : key);
      if constexpr (T::kPack == 2) v_store(to + kPanelWidth + g * 16, v_sub(v_load_second_as<T>(k[g]), zero[g]));
      k[g] += step;
    }
  }
}

// Of V: dimensions [dim, dim + 16 * G) of the tile's first `count` positions: panel[position][32].
template <class T, int G>
void widen_values(AttentionState* state, const KvHead& kv, int64_t from, int64_t count, int64_t dim) {
  const int64_t tokens = kv.kv->block_tokens, stride = value_bytes<T>(*kv.kv);
  state->next_step = stride;
  float* to = state->panel;
  for (int64_t j = 0; j < count;) {
    const int64_t slot = (from + j) % tokens;
    const int64_t stop = count - j < tokens - slot ? count : j + tokens - slot;
    const uint8_t* v = kv.block(from + j) + kv.kv->v_offset + slot * stride + dim * T::kBytes / T::kPack;
    if (j == 0) state->next = v + kv.ahead(from, stride);
    for (; j < stop; ++j, v += stride, to += kPanelWidth) {
      V16 values[G];
      load_values<T, G>(v, 0, values);
      for (int g = 0; g < G; ++g) {
        v_store(to + g * 16, T::kQuantised ? v_sub(values[g], v_set1(state->v_zero[j])) : values[g]);
      }
    }
  }
}

// acc[r] += a[r * kRow + step * kStep] * panel[step], for every step. The first run of rows fetches what the panel
// is made from next, a line a step, so that memory works while the multipliers do; the others fetch one line again.
template <int R, int G, int kRow, int kStep>
WEIR_INLINE void multiply(const AttentionState* state, int row, const float* a, const float* panel, int64_t steps,
                          V16 (&acc)[R][G]) {
  const uint8_t* next = state->next;
  const int64_t next_step = row == 0 ? state->next_step : 0;
  for (int64_t step = 0; step < steps; ++step, a += kStep, panel += kPanelWidth, next += next_step) {
    __builtin_prefetch(next);
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
  multiply<R, G, 1, R>(state, row, state->packed_q + row * dims, state->panel + in_panel * 16, dims, acc);
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(state->p[row + r] + (group + in_panel + g) * 16, acc[r][g]);
  }
}

// Scores of a run of rows with the panel's positions, as far as one of them sees any.
template <int R>
void score_run(AttentionState* state, int row, int rows, int64_t dims, int group, int groups) {
  if (rows != R) {
    if constexpr (R > kRowsLeast) score_run<R - 1>(state, row, rows, dims, group, groups);
    return;
  }
  constexpr int kAtOnce = groups_at_once(R);
  int64_t most = 0;
  for (int r = 0; r < R; ++r) most = state->count[row + r] > most ? state->count[row + r] : most;
  for (int g = 0; g < groups && (group + g) * 16 < most;) {
    if (g + kAtOnce <= groups && (group + g + kAtOnce - 1) * 16 < most) {
      score_panel<R, kAtOnce>(state, row, dims, group, g);
      g += kAtOnce;
    } else {
      score_panel<R, 1>(state, row, dims, group, g++);
    }
  }
}

// o += p * V over the positions that all rows of the run see.
template <int R, int G>
void value_panel(AttentionState* state, int row, int64_t dim, int in_panel, int64_t count) {
  float* o = state->o + row * state->stride + dim + in_panel * 16;
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = v_load(o + r * state->stride + g * 16);
  }
  multiply<R, G, kScoreTile, 1>(state, row, state->p[row], state->panel + in_panel * 16, count, acc);
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(o + r * state->stride + g * 16, acc[r][g]);
  }
}

// The same over the positions from `from`, each for the rows that see it. Few: the rows of a run are near each
// other.
void value_tail(AttentionState* state, int row, int rows, int64_t dim, int groups, int64_t from, int64_t most) {
  float* o = state->o + row * state->stride + dim;
  for (int64_t j = from; j < most; ++j) {
    for (int r = 0; r < rows; ++r) {
      if (j >= state->count[row + r]) continue;
      const V16 p = v_set1(state->p[row + r][j]);
      for (int g = 0; g < groups; ++g) {
        float* at = o + r * state->stride + g * 16;
        v_store(at, v_fma(p, v_load(state->panel + j * kPanelWidth + g * 16), v_load(at)));
      }
    }
  }
}

template <int R>
void value_run(AttentionState* state, int row, int rows, int64_t dim, int groups) {
  if (rows != R) {
    if constexpr (R > kRowsLeast) value_run<R - 1>(state, row, rows, dim, groups);
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
      value_panel<R, kAtOnce>(state, row, dim, g, least);
      g += kAtOnce;
    } else {
      value_panel<R, 1>(state, row, dim, g++, least);
    }
  }
  value_tail(state, row, R, dim, groups, least, most);
}

template <class T>
void attend_many(AttentionState* state, const KvHead& kv, int64_t from, int64_t most, float scale) {
  const int64_t dims = kv.kv->head_dim;
  const int tile_groups = static_cast<int>((most + 15) / 16);
  for (int group = 0; group < tile_groups; group += kPanelGroups) {
    const int groups = tile_groups - group < kPanelGroups ? tile_groups - group : kPanelGroups;
    groups == 1 ? widen_keys<T, 1>(state, kv, from, group) : widen_keys<T, 2>(state, kv, from, group);
    for (int run = 0; run < state->runs; ++run) {
      const int row = run_row(*state, run);
      score_run<kRowsRun>(state, row, run_row(*state, run + 1) - row, dims, group, groups);
    }
  }
  for (int row = 0; row < state->rows; ++row) softmax_tile<T::kQuantised>(state, row, scale);
  const int64_t padded = value_bytes<T>(*kv.kv) / T::kBytes * T::kPack;
  for (int64_t dim = 0; dim < padded; dim += kPanelWidth) {
    const int groups = padded - dim < kPanelWidth ? 1 : kPanelGroups;
    groups == 1 ? widen_values<T, 1>(state, kv, from, most, dim) : widen_values<T, 2>(state, kv, from, most, dim);
    for (int run = 0; run < state->runs; ++run) {
      const int row = run_row(*state, run);
      value_run<kRowsRun>(state, row, run_row(*state, run + 1) - row, dim, groups);
    }
  }
}
