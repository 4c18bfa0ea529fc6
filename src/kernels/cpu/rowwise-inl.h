// RMSNorm, and SwiGLU of a register, on V16. Included by the per-ISA translation units after vec16-inl.h.

// 1 / sqrt(mean(x^2) + eps) in every lane.
V16 norm_factor(const float* x, int64_t n, float eps) {
  V16 sum = v_zero();
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const V16 v = v_load(x + i);
    sum = v_fma(v, v, sum);
  }
  if (i < n) {  // zeros leave their lanes as they are: fma(0, 0, s) == s, for s >= 0
    const V16 v = v_load_part(x + i, n - i);
    sum = v_fma(v, v, sum);
  }
  const float mean = v_tree_sum(sum) / static_cast<float>(n);
  return v_set1(1.0f / __builtin_sqrtf(mean + eps));
}

void norm_group(const float* x, const float* weight, int64_t n, float eps, float* out) {
  const V16 r = norm_factor(x, n, eps);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) v_store(out + i, v_mul(v_mul(v_load(x + i), r), v_load(weight + i)));
  if (i < n) {
    v_store_part(out + i, v_mul(v_mul(v_load_part(x + i, n - i), r), v_load_part(weight + i, n - i)), n - i);
  }
}

WEIR_INLINE V16 v_swiglu(V16 gate, V16 up) {
  const V16 e = v_exp(v_sub(v_zero(), gate));
  return v_mul(v_div(gate, v_add(v_set1(1.0f), e)), up);
}
