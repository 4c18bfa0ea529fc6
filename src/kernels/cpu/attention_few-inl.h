// One tile of attention for few rows, up to rows_few() in runs of kRowsAttention: K and V are widened in registers
// as they are read, which costs nothing where reading them is what takes the time (decode). Included after
// attention_state-inl.h.
//
// Scores: lanes = positions. Values: lanes = dimensions. int8 and int4 differ by three things: a load subtracts the
// zero point (in f32, where both are exact), the K scale multiplies the finished sums and the V scale the
// probabilities, both 16 positions at a time. Per register of K or V that is one subtraction more than bf16 has,
// shared by all rows.

// More rows than these are many. Taking zero points away twice costs more than a panel does, widening floats twice
// does not (AVX2, 7 and 8 rows on Zen 4: int4 64 against 51 Gop/s, bf16 48 against 49).
WEIR_INLINE int rows_few(KvFormat format) {
  return format == KvFormat::kInt8 || format == KvFormat::kInt4 ? kRowsAttention : 8;
}

// acc[r][g] += q[r] * keys[g], for dimension d.
template <int R, int G>
WEIR_INLINE void score_dim(V16 (&acc)[R][G], const float* packed_q, int64_t d, const V16 (&keys)[G]) {
  for (int r = 0; r < R; ++r) {
    const V16 q = v_set1(packed_q[d * R + r]);
    for (int g = 0; g < G; ++g) acc[r][g] = v_fma(q, keys[g], acc[r][g]);
  }
}

// Dot products of R rows with `16 * G` positions from `from`, which lie in one block.
template <class T, int R, int G>
void score_groups(AttentionState* state, int row, const KvHead& kv, int64_t from, int group) {
  const float* packed_q = state->packed_q + row * kv.kv->head_dim;
  const int64_t tokens = kv.kv->block_tokens;
  const uint8_t* k = kv.block(from) + from % tokens * T::kBytes;
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = v_zero();
  }
  const int64_t ahead = kv.ahead(from, T::kBytes);
  V16 zeros[G];
  for (int g = 0; g < G; ++g) zeros[g] = T::kQuantised ? v_load(state->k_zero + (group + g) * 16) : v_zero();
  for (int64_t d = 0; d < kv.kv->head_dim; d += T::kPack, k += tokens * T::kBytes) {
    prefetch(k + ahead, G * 16 * T::kBytes);
    V16 keys[G];
    for (int g = 0; g < G; ++g) {
      keys[g] = v_load_as<T>(k + g * 16 * T::kBytes);
      if constexpr (T::kQuantised) keys[g] = v_sub(keys[g], zeros[g]);
    }
    score_dim<R, G>(acc, packed_q, d, keys);
    if constexpr (T::kPack == 2) {
      if (d + 1 == kv.kv->head_dim) break;
      for (int g = 0; g < G; ++g) keys[g] = v_sub(v_load_second_as<T>(k + g * 16), zeros[g]);
      score_dim<R, G>(acc, packed_q, d + 1, keys);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(state->p[row + r] + (group + g) * 16, acc[r][g]);
  }
}

// Few rows leave registers for more positions at once; 4 / R chains would not cover the FMA latency alone.
constexpr int score_groups_at_once(int rows) { return rows * kRegs <= 4 ? 4 : rows * kRegs <= 8 ? 2 : 1; }

template <class T, int R>
void score_tile(AttentionState* state, int row, const KvHead& kv, int64_t from, int64_t count) {
  constexpr int kAtOnce = score_groups_at_once(R);
  const int groups = static_cast<int>((count + 15) / 16);
  for (int g = 0; g < groups;) {
    const int64_t position = from + g * 16;
    const int64_t left_in_block = kv.kv->block_tokens - position % kv.kv->block_tokens;
    if (g + kAtOnce <= groups && left_in_block >= kAtOnce * 16) {
      score_groups<T, R, kAtOnce>(state, row, kv, position, g);
      g += kAtOnce;
    } else {
      score_groups<T, R, 1>(state, row, kv, position, g);
      ++g;
    }
  }
}

// The numbers of `D` registers of dimensions from `dim` of a V row; int4: of 32 dimensions the first 16 are the low
// halves of 16 bytes.
template <class T, int D>
WEIR_INLINE void load_values(const uint8_t* row, int64_t dim, V16 (&values)[D]) {
  if constexpr (T::kPack == 1) {
    for (int i = 0; i < D; ++i) values[i] = v_load_as<T>(row + (dim + i * 16) * T::kBytes);
  } else if constexpr (D == 1) {
    const uint8_t* bytes = row + dim / 32 * 16;
    values[0] = dim % 32 == 0 ? v_load_as<T>(bytes) : v_load_second_as<T>(bytes);
  } else {
    for (int i = 0; i < D; i += 2) {
      values[i] = v_load_as<T>(row + (dim + i * 16) / 2);
      values[i + 1] = v_load_second_as<T>(row + (dim + i * 16) / 2);
    }
  }
}

// o[row .. row + R) += p * V over positions [begin, end) of the tile, all in one block; one block of 16 * D dims.
template <class T, int R, int D>
void value_dims(AttentionState* state, int row, const uint8_t* v, int64_t stride, int64_t ahead, int64_t begin,
                int64_t end, int64_t dim) {
  V16 acc[R][D];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < D; ++i) acc[r][i] = v_load(state->o + (row + r) * state->stride + dim + i * 16);
  }
  for (int64_t j = begin; j < end; ++j, v += stride) {
    prefetch(v + ahead + dim * T::kBytes / T::kPack, D * 16 * T::kBytes / T::kPack);
    V16 values[D];
    load_values<T, D>(v, dim, values);
    if constexpr (T::kQuantised) {
      const V16 zero = v_set1(state->v_zero[j]);
      for (int i = 0; i < D; ++i) values[i] = v_sub(values[i], zero);
    }
    for (int r = 0; r < R; ++r) {
      const V16 p = v_set1(state->p[row + r][j]);
      for (int i = 0; i < D; ++i) acc[r][i] = v_fma(p, values[i], acc[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < D; ++i) v_store(state->o + (row + r) * state->stride + dim + i * 16, acc[r][i]);
  }
}

template <class T, int R>
void value_tile(AttentionState* state, int row, const KvHead& kv, int64_t from, int64_t begin, int64_t end) {
  constexpr int kAtOnce = score_groups_at_once(R);
  const int64_t stride = value_bytes<T>(*kv.kv);
  const int64_t padded = stride / T::kBytes * T::kPack;
  const int64_t tokens = kv.kv->block_tokens;
  while (begin < end) {
    const int64_t slot = (from + begin) % tokens;
    const int64_t stop = end - begin < tokens - slot ? end : begin + tokens - slot;
    const uint8_t* v = kv.block(from + begin) + kv.kv->v_offset + slot * stride;
    const int64_t ahead = kv.ahead(from + begin, stride);
    int64_t dim = 0;
    for (; dim + kAtOnce * 16 <= padded; dim += kAtOnce * 16) {
      value_dims<T, R, kAtOnce>(state, row, v, stride, ahead, begin, stop, dim);
    }
    for (; dim < padded; dim += 16) value_dims<T, R, 1>(state, row, v, stride, ahead, begin, stop, dim);
    begin = stop;
  }
}

template <class T, int R>
void attend_few(AttentionState* state, int row, int rows, const KvHead& kv, int64_t from, float scale) {
  if (rows != R) {
    if constexpr (R > 1) attend_few<T, R - 1>(state, row, rows, kv, from, scale);
    return;
  }
  const int64_t* count = state->count + row;
  int64_t most = 0, least = kScoreTile;
  for (int r = 0; r < R; ++r) {
    most = count[r] > most ? count[r] : most;
    least = count[r] < least ? count[r] : least;
  }
  if (most == 0) return;
  score_tile<T, R>(state, row, kv, from, most);
  for (int r = 0; r < R; ++r) softmax_tile<T::kQuantised>(state, row + r, scale);
  value_tile<T, R>(state, row, kv, from, 0, least);
  for (int r = 0; r < R; ++r) value_tile<T, 1>(state, row + r, kv, from, least, count[r]);
}
