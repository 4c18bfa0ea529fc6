// What stands between the projections and attention, one token after the other while its numbers are in L1: the
// norms of q and k, the rotation, the write to the cache (definition: ops.h). Included by the per-ISA translation
// units after rowwise-inl.h.

void rotate_head(const float* cos, const float* sin, int64_t half, float* x) {
  for (int64_t i = 0; i < half; i += 16) {
    const int64_t left = half - i;
    const V16 c = v_load_part(cos + i, left), s = v_load_part(sin + i, left);
    const V16 a = v_load_part(x + i, left), b = v_load_part(x + half + i, left);
    v_store_part(x + i, v_sub(v_mul(a, c), v_mul(b, s)), left);
    v_store_part(x + half + i, v_add(v_mul(b, c), v_mul(a, s)), left);
  }
}

void finish_heads(const QkvTask& task, int64_t token, const float* norm, int64_t heads, float* x) {
  const int64_t dims = task.cache.head_dim;
  for (int64_t head = 0; head < heads; ++head, x += dims) {
    if (norm != nullptr) norm_group(x, norm, dims, task.eps, x);
    if (task.half == 0) continue;
    const int64_t position = task.positions[token];
    rotate_head(task.cos + position * task.cos_stride, task.sin + position * task.sin_stride, task.half, x);
  }
}

void qkv_finish(const QkvTask& task, int64_t begin, int64_t end) {
  const KvWriteTask write = {task.k, task.v, task.k_stride, task.v_stride, task.slots, task.cache};
  for (int64_t t = begin; t < end; ++t) {
    finish_heads(task, t, task.q_norm, task.heads, task.q + t * task.q_stride);
    finish_heads(task, t, task.k_norm, task.cache.kv_heads, task.k + t * task.k_stride);
    portable_kv_write(write, t, t + 1);
  }
}
