// What a worker keeps while it attends: the rows it computes, their softmax, and where K and V lie. Included by the
// per-ISA translation units after vec16-inl.h; attention-inl.h says how the pieces fit together.
//
// A row takes part in a tile up to its own position and no further: values beyond it are never multiplied in for
// it, and scores beyond it are replaced before use, so whatever lies in recycled memory, NaN included, cannot reach
// a result.

constexpr int kScoreGroups = kScoreTile / 16;
constexpr int64_t kHeadDimMax = 512;
constexpr int kPanelGroups = 2;
constexpr int kPanelWidth = 16 * kPanelGroups;
constexpr int kRowsMax = static_cast<int>(kAttentionRows);

// About 250 KiB on the worker's stack. A prompt at head size 64 touches some 140 of them (96 rows: q, o and whole_o
// 24 each, p 24, panel 8, sums 12, ...), a decode of 8 rows some 20.
struct AttentionState {
  int rows;
  int runs;        // rows that are computed at once: run_row()
  int64_t stride;  // of o and whole_o: head_dim padded to 32
  const float* q[kRowsMax];
  float* out[kRowsMax];
  float* partial[kRowsMax];  // where the row leaves its partition, or null
  int64_t length[kRowsMax];  // positions the row sees
  int64_t until[kRowsMax];   // of these, the end of those in this partition
  int64_t count[kRowsMax];   // of these, the ones in this tile; may be 0 or less
  float m[kRowsMax];         // largest score of the partition so far
  float whole_m[kRowsMax];   // the same of the partitions joined so far
  float l[kRowsMax][16];     // sums of exp, by lane
  float whole_l[kRowsMax][16];
  float p[kRowsMax][kScoreTile];  // scores, then probabilities (int8, int4: times V scale), of the tile
  // int8 and int4: of the tile's positions.
  float k_scale[kScoreTile], k_zero[kScoreTile], v_scale[kScoreTile], v_zero[kScoreTile];
  float packed_q[kAttentionFloats];  // of each run of rows [row, row + R): [head_dim][R] at row * head_dim
  float o[kAttentionFloats];
  float whole_o[kAttentionFloats];
  const uint8_t* next;  // what the panel will be made from a tile later, to be fetched meanwhile,
  int64_t next_step;    // and the distance from one step of the panel to the next
  float panel[kHeadDimMax * kPanelWidth];  // attention_many-inl.h
};

// Runs differ by one row at most. RETURNS: the first row of run `run`.
WEIR_INLINE int run_row(const AttentionState& state, int run) { return run * state.rows / state.runs; }

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

// Bytes of a token's V: padded to 16 numbers (int4: 32).
template <class T>
WEIR_INLINE int64_t value_bytes(const KvTask& kv) {
  constexpr int64_t kPad = 16 * T::kPack;
  return (kv.head_dim + kPad - 1) / kPad * 16 * T::kBytes;
}

// Scales and zeros of the first `count` positions of the tile; those of positions never written are never used.
void load_scales(AttentionState* state, const KvHead& kv, int64_t from, int64_t count) {
  const int64_t tokens = kv.kv->block_tokens;
  const uint8_t* scales = nullptr;
  int64_t slot = 0;
  for (int64_t j = 0; j < count; j += 16, slot += 16) {
    if (j == 0 || slot == tokens) {
      slot = (from + j) % tokens;
      scales = kv.block(from + j) + kv.kv->scales_offset;
      prefetch(scales + kv.ahead(from + j, 0), 6 * (tokens < kScoreTile ? tokens : kScoreTile));
    }
    v_store(state->k_scale + j, v_load_as<F16>(scales + slot * 2));
    v_store(state->v_scale + j, v_load_as<F16>(scales + tokens * 2 + slot * 2));
    v_store(state->k_zero + j, v_load_as<Int8>(scales + tokens * 4 + slot));
    v_store(state->v_zero + j, v_load_as<Int8>(scales + tokens * 5 + slot));
  }
}

// The row's l and o, times exp(from - to).
void shrink_row(AttentionState* state, int row, float from, float to) {
  const V16 shrink = v_exp_of_negative(v_set1(from - to));
  float* o = state->o + row * state->stride;
  v_store(state->l[row], v_mul(v_load(state->l[row]), shrink));
  for (int64_t d = 0; d < state->stride; d += 16) v_store(o + d, v_mul(v_load(o + d), shrink));
}

// Scores of one row to probabilities; count >= 1 of them are valid, all 64 where kFull.
template <bool kQuantised, bool kFull>
WEIR_INLINE void softmax_row(AttentionState* state, int row, int64_t count, float scale) {
  const V16 lowest = v_set1(-__builtin_inff());
  V16 scores[kScoreGroups];
  V16 top = lowest;
  for (int g = 0; g < kScoreGroups; ++g) {
    scores[g] = v_load(state->p[row] + g * 16);
    if constexpr (kQuantised) scores[g] = v_mul(scores[g], v_load(state->k_scale + g * 16));
    scores[g] = v_mul(scores[g], v_set1(scale));
    if constexpr (!kFull) scores[g] = v_first(count - g * 16, scores[g], lowest);
    top = v_max(scores[g], top);
  }
  if (v_any_lt(v_set1(state->m[row]), top)) {
    const float tile_top = v_tree_max(top);
    shrink_row(state, row, state->m[row], tile_top);
    state->m[row] = tile_top;
  }
  const V16 m = v_set1(state->m[row]);
  V16 l = v_load(state->l[row]);
  for (int g = 0; g < kScoreGroups && (kFull || g * 16 < count); ++g) {
    V16 p = v_exp_of_negative(v_sub(scores[g], m));
    if constexpr (!kFull) p = v_first(count - g * 16, p, v_zero());
    l = v_add(l, p);
    v_store(state->p[row] + g * 16, kQuantised ? v_mul(p, v_load(state->v_scale + g * 16)) : p);
  }
  v_store(state->l[row], l);
}

template <bool kQuantised>
void softmax_tile(AttentionState* state, int row, float scale) {
  const int64_t count = state->count[row];
  if (count == kScoreTile) {
    softmax_row<kQuantised, true>(state, row, count, scale);
  } else if (count > 0) {
    softmax_row<kQuantised, false>(state, row, count, scale);
  }
}
