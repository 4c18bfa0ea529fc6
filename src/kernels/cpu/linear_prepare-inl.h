// Prepares activations for the linear kernels, row tile by row tile: normalised where the task says so, transposed for
// float weights, quantised to int8 per row and group for the others. Included by the per-ISA translation units after
// linear_int-inl.h.

// Sixteen inputs of a row as the sums see them.
struct RowInputs {
  const float* x;
  const float* norm;  // or null
  V16 factor;

  RowInputs(const LinearTask& task, int64_t row)
      : x(task.x + row * task.x_stride),
        norm(task.norm),
        factor(task.norm != nullptr ? norm_factor(x, task.k, task.norm_eps) : v_zero()) {}
  // count: how many are left, of which up to 16 are taken and the rest reads as zero; may be <= 0.
  WEIR_INLINE_MEMBER V16 load(int64_t k, int64_t count) const {
    if (count <= 0) return v_zero();
    const V16 v = v_load_part(x + k, count);
    return norm == nullptr ? v : v_mul(v_mul(v, factor), v_load_part(norm + k, count));
  }
};

void prepare_float_tile(const LinearTask& task, int64_t tile) {
  const int64_t first = tile_row(task, tile);
  const int64_t rows = tile_row(task, tile + 1) - first;
  float* to = reinterpret_cast<float*>(task.scratch) + first * task.k;
  for (int64_t r = 0; r < rows; ++r) {
    const RowInputs row(task, first + r);
    for (int64_t k = 0; k < task.k; k += 16) {
      float x[16];
      v_store(x, row.load(k, task.k - k));
      const int64_t count = task.k - k < 16 ? task.k - k : 16;
      for (int64_t i = 0; i < count; ++i) to[(k + i) * rows + r] = x[i];
    }
  }
}

// One group of a row into its place in the tile; F: the weight format (linear_int-inl.h).
template <class F>
void prepare_group(const RowInputs& row, int64_t begin, int64_t count, int64_t rows, int64_t r, uint8_t* to) {
  constexpr int kParts = F::kGroup / 16;
  V16 x[kParts];
  V16 top = v_zero();
  for (int part = 0; part < kParts; ++part) {
    x[part] = row.load(begin + part * 16, count - part * 16);
    top = v_max(v_abs(x[part]), top);
  }
  const float amax = v_tree_max(top);
  const bool zero = !(amax >= kQuantTiny);
  const V16 inverse = v_set1(zero ? 0.0f : 127.0f / amax);
  const V16 magic = v_set1(kMagic);
  int8_t bytes[F::kGroup];
  for (int part = 0; part < kParts; ++part) {
    const V16 q = v_add(v_mul(x[part], inverse), magic);
    WEIR_EACH r_store_low_bytes(reinterpret_cast<uint8_t*>(bytes) + part * 16 + weir_i * kLanes, q.r[weir_i]);
  }
  int32_t sum = 0;
  for (int i = 0; i < F::kGroup; ++i) sum += bytes[i];
  const float scale = zero ? 0.0f : amax / 127.0f;
  const int32_t offset = F::kOffset * sum;
  for (int quad = 0; quad < F::kGroup / 4; ++quad) {
    F::store_quad(to + (quad * rows + r) * F::kQuadBytes, bytes + quad * 4);
  }
  __builtin_memcpy(to + F::scales(rows) + r * 4, &scale, 4);
  __builtin_memcpy(to + F::offsets(rows) + r * 4, &offset, 4);
}

template <class F>
void prepare_quantised_tile(const LinearTask& task, int64_t tile) {
  const int64_t first = tile_row(task, tile);
  const int64_t rows = tile_row(task, tile + 1) - first;
  const int64_t groups = quant_groups<F>(task);
  uint8_t* to = task.scratch + first * groups * F::prepared(1);
  for (int64_t r = 0; r < rows; ++r) {
    const RowInputs row(task, first + r);
    for (int64_t g = 0; g < groups; ++g) {
      prepare_group<F>(row, g * F::kGroup, task.k - g * F::kGroup, rows, r, to + g * F::prepared(rows));
    }
  }
}
