// Causal attention over the paged cache, tile by tile of 64 positions (definition: ops.h; layout: kv_layer.h).
// Included by the per-ISA translation units after vec16-inl.h.
//
// A chunk is up to kRowsAttention query rows (token, head) that share a sequence and a kv head, so K and V are read
// and widened once for all of them. Scores: lanes = positions. Values: lanes = dimensions. A row takes part in a
// tile up to its own position and no further: values beyond it are never loaded for it, and scores beyond it are
// replaced before use, so whatever lies in recycled memory, NaN included, cannot reach a result.
//
// int8 and int4 differ by three things: a load subtracts the zero point (in f32, where both are exact), the K scale
// multiplies the finished sums and the V scale the probabilities, both 16 positions at a time. Per register of K or
// V that is one subtraction more than bf16 has, shared by all rows of the chunk.

constexpr int64_t kHeadDimMax = 512;
constexpr int kScoreGroups = kScoreTile / 16;

struct AttentionChunk {
  int rows;
  const float* q[kRowsAttention];
  float* out[kRowsAttention];
  int64_t length[kRowsAttention];                // positions the row sees
  float packed_q[kHeadDimMax * kRowsAttention];  // [head_dim][rows]
  float m[kRowsAttention];                       // largest score so far
  float l[kRowsAttention][16];                   // sums of exp, by lane
  float o[kRowsAttention][kHeadDimMax];
  float p[kRowsAttention][kScoreTile];  // scores, then probabilities (int8, int4: times V scale), of the tile
  // int8 and int4: of the tile's positions.
  float k_scale[kScoreTile], k_zero[kScoreTile], v_scale[kScoreTile], v_zero[kScoreTile];
};

struct KvHead {
  const KvTask* kv;
  const int32_t* table;
  int64_t head;
  int64_t positions;  // that the table has blocks for, at least
  WEIR_INLINE_MEMBER const uint8_t* block(int64_t position) const {
    return kv->base + table[position / kv->block_tokens] * kv->block_stride + head * kv->head_stride;
  }
  // What lies one tile further is fetched while this tile is computed: blocks lie anywhere, and a hardware
  // prefetcher has to start anew in each. RETURNS: the distance in bytes from the slot at `position` to the one a
  // tile later.
  WEIR_INLINE_MEMBER int64_t ahead(int64_t position, int64_t slot_bytes) const {
    const int64_t next = position + kScoreTile;
    if (next >= positions) return 0;
    return block(next) - block(position) + (next % kv->block_tokens - position % kv->block_tokens) * slot_bytes;
  }
};

WEIR_INLINE void prefetch(const uint8_t* p, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

// Scales and zeros of the first `count` positions of the tile; those of positions never written are never used.
void load_scales(AttentionChunk* chunk, const KvHead& kv, int64_t from, int64_t count) {
  const int64_t tokens = kv.kv->block_tokens;
  const uint8_t* scales = nullptr;
  int64_t slot = 0;
  for (int64_t j = 0; j < count; j += 16, slot += 16) {
    if (j == 0 || slot == tokens) {
      slot = (from + j) % tokens;
      scales = kv.block(from + j) + kv.kv->scales_offset;
      prefetch(scales + kv.ahead(from + j, 0), 6 * (tokens < kScoreTile ? tokens : kScoreTile));
    }
    v_store(chunk->k_scale + j, v_load_as<F16>(scales + slot * 2));
    v_store(chunk->v_scale + j, v_load_as<F16>(scales + tokens * 2 + slot * 2));
    v_store(chunk->k_zero + j, v_load_as<Int8>(scales + tokens * 4 + slot));
    v_store(chunk->v_zero + j, v_load_as<Int8>(scales + tokens * 5 + slot));
  }
}

// acc[r][g] += q[r] * keys[g], for dimension d.
template <int R, int G>
WEIR_INLINE void score_dim(V16 (&acc)[R][G], const AttentionChunk* chunk, int64_t d, const V16 (&keys)[G]) {
  for (int r = 0; r < R; ++r) {
    const V16 q = v_set1(chunk->packed_q[d * R + r]);
    for (int g = 0; g < G; ++g) acc[r][g] = v_fma(q, keys[g], acc[r][g]);
  }
}

// Dot products of R rows with `16 * G` positions from `from`, which lie in one block.
template <class T, int R, int G>
void score_groups(AttentionChunk* chunk, const KvHead& kv, int64_t from, int group) {
  const int64_t tokens = kv.kv->block_tokens;
  const uint8_t* k = kv.block(from) + from % tokens * T::kBytes;
  V16 acc[R][G];
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) acc[r][g] = v_zero();
  }
  const int64_t ahead = kv.ahead(from, T::kBytes);
  V16 zeros[G];
  for (int g = 0; g < G; ++g) zeros[g] = T::kQuantised ? v_load(chunk->k_zero + (group + g) * 16) : v_zero();
  for (int64_t d = 0; d < kv.kv->head_dim; d += T::kPack, k += tokens * T::kBytes) {
    prefetch(k + ahead, G * 16 * T::kBytes);
    V16 keys[G];
    for (int g = 0; g < G; ++g) {
      keys[g] = v_load_as<T>(k + g * 16 * T::kBytes);
      if constexpr (T::kQuantised) keys[g] = v_sub(keys[g], zeros[g]);
    }
    score_dim<R, G>(acc, chunk, d, keys);
    if constexpr (T::kPack == 2) {
      if (d + 1 == kv.kv->head_dim) break;
      for (int g = 0; g < G; ++g) keys[g] = v_sub(v_load_second_as<T>(k + g * 16), zeros[g]);
      score_dim<R, G>(acc, chunk, d + 1, keys);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int g = 0; g < G; ++g) v_store(chunk->p[r] + (group + g) * 16, acc[r][g]);
  }
}

// Few rows leave registers for more positions at once; 4 / R chains would not cover the FMA latency alone.
constexpr int score_groups_at_once(int rows) { return rows * kRegs <= 4 ? 4 : rows * kRegs <= 8 ? 2 : 1; }

template <class T, int R>
void score_tile(AttentionChunk* chunk, const KvHead& kv, int64_t from, int64_t count) {
  constexpr int kAtOnce = score_groups_at_once(R);
  const int groups = static_cast<int>((count + 15) / 16);
  for (int g = 0; g < groups;) {
    const int64_t position = from + g * 16;
    const int64_t left_in_block = kv.kv->block_tokens - position % kv.kv->block_tokens;
    if (g + kAtOnce <= groups && left_in_block >= kAtOnce * 16) {
      score_groups<T, R, kAtOnce>(chunk, kv, position, g);
      g += kAtOnce;
    } else {
      score_groups<T, R, 1>(chunk, kv, position, g);
      ++g;
    }
  }
}

// Scores of one row to probabilities; count >= 1 of them are valid.
template <bool kQuantised>
void softmax_tile(AttentionChunk* chunk, int row, int64_t count, float scale, int64_t head_dim) {
  const V16 lowest = v_set1(-__builtin_inff());
  V16 scores[kScoreGroups];
  V16 top = lowest;
  for (int g = 0; g < kScoreGroups; ++g) {
    scores[g] = v_load(chunk->p[row] + g * 16);
    if constexpr (kQuantised) scores[g] = v_mul(scores[g], v_load(chunk->k_scale + g * 16));
    scores[g] = v_first(count - g * 16, v_mul(scores[g], v_set1(scale)), lowest);
    top = v_max(scores[g], top);
  }
  V16 l = v_load(chunk->l[row]);
  const float tile_top = v_tree_max(top);
  if (tile_top > chunk->m[row]) {
    const V16 shrink = v_exp(v_set1(chunk->m[row] - tile_top));
    chunk->m[row] = tile_top;
    l = v_mul(l, shrink);
    for (int64_t d = 0; d < head_dim; d += 16) v_store(chunk->o[row] + d, v_mul(v_load(chunk->o[row] + d), shrink));
  }
  for (int g = 0; g < kScoreGroups && g * 16 < count; ++g) {
    const V16 p = v_first(count - g * 16, v_exp(v_sub(scores[g], v_set1(chunk->m[row]))), v_zero());
    l = v_add(l, p);
    v_store(chunk->p[row] + g * 16, kQuantised ? v_mul(p, v_load(chunk->v_scale + g * 16)) : p);
  }
  v_store(chunk->l[row], l);
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
void value_dims(AttentionChunk* chunk, int row, const uint8_t* v, int64_t stride, int64_t ahead, int64_t begin,
                int64_t end, int64_t dim) {
  V16 acc[R][D];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < D; ++i) acc[r][i] = v_load(chunk->o[row + r] + dim + i * 16);
  }
  for (int64_t j = begin; j < end; ++j, v += stride) {
    prefetch(v + ahead + dim * T::kBytes / T::kPack, D * 16 * T::kBytes / T::kPack);
    V16 values[D];
    load_values<T, D>(v, dim, values);
    if constexpr (T::kQuantised) {
      const V16 zero = v_set1(chunk->v_zero[j]);
      for (int i = 0; i < D; ++i) values[i] = v_sub(values[i], zero);
    }
    for (int r = 0; r < R; ++r) {
      const V16 p = v_set1(chunk->p[row + r][j]);
      for (int i = 0; i < D; ++i) acc[r][i] = v_fma(p, values[i], acc[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < D; ++i) v_store(chunk->o[row + r] + dim + i * 16, acc[r][i]);
  }
}

template <class T, int R>
void value_tile(AttentionChunk* chunk, int row, const KvHead& kv, int64_t from, int64_t begin, int64_t end) {
  constexpr int kAtOnce = score_groups_at_once(R);
  constexpr int64_t kPad = 16 * T::kPack;
  const int64_t padded = (kv.kv->head_dim + kPad - 1) / kPad * kPad;
  const int64_t tokens = kv.kv->block_tokens;
  while (begin < end) {
    const int64_t slot = (from + begin) % tokens;
    const int64_t stop = end - begin < tokens - slot ? end : begin + tokens - slot;
    const int64_t stride = padded / T::kPack * T::kBytes;
    const uint8_t* v = kv.block(from + begin) + kv.kv->v_offset + slot * stride;
    const int64_t ahead = kv.ahead(from + begin, stride);
    int64_t dim = 0;
    for (; dim + kAtOnce * 16 <= padded; dim += kAtOnce * 16) {
      value_dims<T, R, kAtOnce>(chunk, row, v, stride, ahead, begin, stop, dim);
    }
    for (; dim < padded; dim += 16) value_dims<T, R, 1>(chunk, row, v, stride, ahead, begin, stop, dim);
    begin = stop;
  }
}

template <class T, int R>
void attend_tile(AttentionChunk* chunk, const KvHead& kv, int64_t from, float scale) {
  int64_t count[R];
  int64_t most = 0, least = kScoreTile;
  for (int r = 0; r < R; ++r) {
    const int64_t left = chunk->length[r] - from;
    count[r] = left < 0 ? 0 : left < kScoreTile ? left : kScoreTile;
    most = count[r] > most ? count[r] : most;
    least = count[r] < least ? count[r] : least;
  }
  if constexpr (T::kQuantised) load_scales(chunk, kv, from, most);
  score_tile<T, R>(chunk, kv, from, most);
  for (int r = 0; r < R; ++r) {
    if (count[r] > 0) softmax_tile<T::kQuantised>(chunk, r, count[r], scale, kv.kv->head_dim);
  }
  value_tile<T, R>(chunk, 0, kv, from, 0, least);
  for (int r = 0; r < R; ++r) value_tile<T, 1>(chunk, r, kv, from, least, count[r]);
}

template <class T, int R>
void attend_rows(AttentionChunk* chunk, const KvHead& kv, float scale) {
  const int64_t dims = kv.kv->head_dim;
  int64_t longest = 0;
  for (int r = 0; r < R; ++r) {
    for (int64_t d = 0; d < dims; ++d) chunk->packed_q[d * R + r] = chunk->q[r][d];
    for (int64_t d = 0; d < dims; d += 16 * T::kPack) {  // the pad too: it is summed, though never used
      for (int i = 0; i < T::kPack; ++i) v_store(chunk->o[r] + d + i * 16, v_zero());
    }
    v_store(chunk->l[r], v_zero());
    chunk->m[r] = -__builtin_inff();
    longest = chunk->length[r] > longest ? chunk->length[r] : longest;
  }
  for (int64_t from = 0; from < longest; from += kScoreTile) attend_tile<T, R>(chunk, kv, from, scale);
  for (int r = 0; r < R; ++r) {
    const V16 l = v_set1(v_tree_sum(v_load(chunk->l[r])));
    for (int64_t d = 0; d < dims; d += 16) {
      v_store_part(chunk->out[r] + d, v_div(v_load(chunk->o[r] + d), l), dims - d);
    }
  }
}

template <class T, int R>
void attend_chunk(AttentionChunk* chunk, const KvHead& kv, float scale) {
  if (chunk->rows == R) return attend_rows<T, R>(chunk, kv, scale);
  if constexpr (R > 1) attend_chunk<T, R - 1>(chunk, kv, scale);
}

void attend(AttentionChunk* chunk, const KvHead& kv, float scale) {
  switch (kv.kv->format) {
    case KvFormat::kBF16:
      attend_chunk<Bf16, kRowsAttention>(chunk, kv, scale);
      break;
    case KvFormat::kF16:
      attend_chunk<F16, kRowsAttention>(chunk, kv, scale);
      break;
    case KvFormat::kInt8:
      attend_chunk<Int8, kRowsAttention>(chunk, kv, scale);
      break;
    case KvFormat::kInt4:
      attend_chunk<Int4, kRowsAttention>(chunk, kv, scale);
      break;
    default:
      attend_chunk<F32, kRowsAttention>(chunk, kv, scale);
  }
  chunk->rows = 0;
}

void attention(const AttentionTask& task, int64_t begin, int64_t end, int64_t kv_head) {
  const int64_t group = task.heads / task.cache.kv_heads;
  const int64_t dims = task.cache.head_dim;
  AttentionChunk chunk;
  chunk.rows = 0;
  for (int64_t token = begin; token < end; ++token) {
    const int32_t sequence = task.sequences[token];
    const KvHead kv = {&task.cache, task.block_tables + sequence * task.table_stride, kv_head,
                       int64_t{task.positions[token]} + 1};
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const int row = chunk.rows++;
      chunk.q[row] = task.q + token * task.q_stride + head * dims;
      chunk.out[row] = task.out + token * task.out_stride + head * dims;
      chunk.length[row] = int64_t{task.positions[token]} + 1;
      if (chunk.rows == kRowsAttention) attend(&chunk, kv, task.scale);
    }
    const bool same_next = token + 1 < end && task.sequences[token + 1] == sequence;
    if (!same_next && chunk.rows > 0) attend(&chunk, kv, task.scale);
  }
}
