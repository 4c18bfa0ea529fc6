// Causal attention over the paged cache (definition: ops.h; layout: kv_layer.h): rows (token, head) that share a
// sequence and a kv head, partition by partition, tile by tile of 64 positions. Included by the per-ISA translation
// units after attention_state-, attention_few- and attention_many-inl.h.

// The state of a row at one place: registers' worth of m and l, and o.
struct RowParts {
  float* m;
  float* l;
  float* o;
};

// into = into joined with the next partition.
void join_row(const RowParts& into, const RowParts& next, int64_t dims) {
  const float m = *next.m > *into.m ? *next.m : *into.m;
  const V16 a = v_exp_of_negative(v_set1(*into.m - m)), b = v_exp_of_negative(v_set1(*next.m - m));
  *into.m = m;
  v_store(into.l, v_fma(v_load(next.l), b, v_mul(v_load(into.l), a)));
  for (int64_t d = 0; d < dims; d += 16) {
    v_store(into.o + d, v_fma(v_load(next.o + d), b, v_mul(v_load(into.o + d), a)));
  }
}

void copy_row(const RowParts& to, const RowParts& from, int64_t dims) {
  *to.m = *from.m;
  v_store(to.l, v_load(from.l));
  for (int64_t d = 0; d < dims; d += 16) v_store(to.o + d, v_load(from.o + d));
}

void write_row(const RowParts& row, int64_t dims, float* out) {
  const V16 l = v_set1(v_tree_sum(v_load(row.l)));
  for (int64_t d = 0; d < dims; d += 16) v_store_part(out + d, v_div(v_load(row.o + d), l), dims - d);
}

WEIR_INLINE RowParts partial_parts(float* at) { return {at, at + 16, at + kPartialHead}; }

template <class T>
void attend_tiles(AttentionState* state, const KvHead& kv, int64_t from, int64_t until, float scale) {
  for (; from < until; from += kScoreTile) {
    int64_t most = 0;
    for (int row = 0; row < state->rows; ++row) {
      const int64_t left = state->until[row] - from;
      const int64_t count = left < 0 ? 0 : left < kScoreTile ? left : kScoreTile;
      state->count[row] = count;
      most = count > most ? count : most;
    }
    if constexpr (T::kQuantised) load_scales(state, kv, from, most);
    if (state->rows > rows_few(kv.kv->format)) {
      attend_many<T>(state, kv, from, most, scale);
    } else {
      for (int run = 0; run < state->runs; ++run) {
        const int row = run_row(*state, run);
        attend_few<T, kRowsAttention>(state, row, run_row(*state, run + 1) - row, kv, from, scale);
      }
    }
  }
}

void attend(AttentionState* state, const KvHead& kv, int64_t from, int64_t until, float scale) {
  switch (kv.kv->format) {
    case KvFormat::kBF16:
      return attend_tiles<Bf16>(state, kv, from, until, scale);
    case KvFormat::kF16:
      return attend_tiles<F16>(state, kv, from, until, scale);
    case KvFormat::kInt8:
      return attend_tiles<Int8>(state, kv, from, until, scale);
    case KvFormat::kInt4:
      return attend_tiles<Int4>(state, kv, from, until, scale);
    default:
      return attend_tiles<F32>(state, kv, from, until, scale);
  }
}

// Takes rows [first, first + state->rows) of the unit.
void take_rows(AttentionState* state, const AttentionTask& task, const AttentionUnit& unit, int64_t first) {
  const int64_t group = task.heads / task.cache.kv_heads, dims = task.cache.head_dim;
  for (int row = 0; row < state->rows; ++row) {
    const int64_t token = unit.token_begin + (first + row) / group;
    const int64_t head = unit.kv_head * group + (first + row) % group;
    state->q[row] = task.q + token * task.q_stride + head * dims;
    state->out[row] = task.out + token * task.out_stride + head * dims;
    state->length[row] = int64_t{task.positions[token]} + 1;
    state->partial[row] = nullptr;
    if (unit.part && state->length[row] > kPartition) {
      state->partial[row] =
          task.partials + ((token * task.heads + head) * task.partitions + unit.partition) * task.partial_floats;
    }
  }
  const int at_once = state->rows > rows_few(task.cache.format) ? kRowsRun : kRowsAttention;
  state->runs = (state->rows + at_once - 1) / at_once;
  for (int run = 0; run < state->runs; ++run) {
    const int begin = run_row(*state, run), rows = run_row(*state, run + 1) - begin;
    float* packed = state->packed_q + begin * dims;
    for (int r = 0; r < rows; ++r) {
      for (int64_t d = 0; d < dims; ++d) packed[d * rows + r] = state->q[begin + r][d];
    }
  }
}

// What becomes of a row at the end of the partition that ends at `until`.
void close_row(AttentionState* state, int row, int64_t from, int64_t dims) {
  const RowParts part = {&state->m[row], state->l[row], state->o + row * state->stride};
  const RowParts whole = {&state->whole_m[row], state->whole_l[row], state->whole_o + row * state->stride};
  const bool last = state->until[row] == state->length[row];
  if (state->partial[row] != nullptr) {
    copy_row(partial_parts(state->partial[row]), part, dims);
  } else if (from == 0) {
    last ? write_row(part, dims, state->out[row]) : copy_row(whole, part, dims);
  } else {
    join_row(whole, part, dims);
    if (last) write_row(whole, dims, state->out[row]);
  }
}

void attend_partition(AttentionState* state, const KvHead& kv, int64_t partition, float scale) {
  const int64_t from = partition * kPartition;
  int64_t most = from;
  for (int row = 0; row < state->rows; ++row) {
    const int64_t length = state->length[row];
    state->until[row] = length < from + kPartition ? length : from + kPartition;
    if (state->until[row] <= from) continue;
    most = state->until[row] > most ? state->until[row] : most;
    state->m[row] = -__builtin_inff();
    v_store(state->l[row], v_zero());
    float* o = state->o + row * state->stride;
    for (int64_t d = 0; d < state->stride; d += 16)
      v_store(o + d, v_zero());  // the pad is summed, though never used
  }
  attend(state, kv, from, most, scale);
  for (int row = 0; row < state->rows; ++row) {
    if (state->until[row] > from) close_row(state, row, from, kv.kv->head_dim);
  }
}

void attention(const AttentionTask& task, const AttentionUnit& unit) {
  const int64_t all = (unit.token_end - unit.token_begin) * (task.heads / task.cache.kv_heads);
  int64_t longest = 0;
  for (int64_t token = unit.token_begin; token < unit.token_end; ++token) {
    const int64_t length = int64_t{task.positions[token]} + 1;
    longest = length > longest ? length : longest;
  }
  const int64_t partitions = (longest + kPartition - 1) / kPartition;
  const int64_t begin = unit.part ? unit.partition : 0;
  const int64_t end = unit.part && unit.partition < partitions ? unit.partition + 1 : partitions;
  if (begin >= end) return;
  const int32_t* table = task.block_tables + task.sequences[unit.token_begin] * task.table_stride;
  const KvHead kv = {&task.cache, table, unit.kv_head, longest};
  AttentionState state;
  state.stride = (task.cache.head_dim + 31) / 32 * 32;
  const int64_t fit = kAttentionFloats / state.stride;
  for (int64_t first = 0; first < all; first += state.rows) {
    const int64_t rows = fit < kAttentionRows ? fit : kAttentionRows;
    state.rows = static_cast<int>(all - first < rows ? all - first : rows);
    take_rows(&state, task, unit, first);
    for (int64_t partition = begin; partition < end; ++partition)
      attend_partition(&state, kv, partition, task.scale);
  }
}

void attention_merge(const AttentionTask& task, int64_t begin, int64_t end) {
  const int64_t dims = task.cache.head_dim;
  float m, l[16], o[kHeadDimMax];
  const RowParts whole = {&m, l, o};
  for (int64_t token = begin; token < end; ++token) {
    const int64_t partitions = task.positions[token] / kPartition + 1;
    if (partitions == 1) continue;
    for (int64_t head = 0; head < task.heads; ++head) {
      float* partial = task.partials + (token * task.heads + head) * task.partitions * task.partial_floats;
      copy_row(whole, partial_parts(partial), dims);
      for (int64_t i = 1; i < partitions; ++i)
        join_row(whole, partial_parts(partial + i * task.partial_floats), dims);
      write_row(whole, dims, task.out + token * task.out_stride + head * dims);
    }
  }
}
