// The reference: every kernel as plainly as its definition in ops.h reads. Tests hold every other instruction set
// to these bits, and hold these to double precision. Slow on purpose; it also runs where nothing better is known.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/cpu/constants.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/kv_access.h"
#include "kernels/cpu/portable.h"
#include "tensor/convert.h"

namespace weir::cpu {
namespace {

float tree16(const float* lanes) {
  float sum[16];
  std::memcpy(sum, lanes, sizeof(sum));
  for (int step = 8; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) sum[i] += sum[i + step];
  }
  return sum[0];
}

float exp_reference(float x) {
  const float t = std::fma(x, kLog2E, kMagic);
  const float n = t - kMagic;
  const float r = std::fma(n, kNegLn2Low, std::fma(n, kNegLn2High, x));
  float p = kExp7;
  for (float c : {kExp6, kExp5, kExp4, kExp3, kExp2, 1.0f, 1.0f}) p = std::fma(p, r, c);
  const float e = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(t) << 23));
  if (x > kExpHigh) return std::numeric_limits<float>::infinity();
  if (x < kExpLow) return 0.0f;
  return e;
}

// 1 / sqrt(mean(x^2) + eps).
float norm_factor(const float* x, int64_t n, float eps) {
  float lanes[16] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
  return 1.0f / std::sqrt(tree16(lanes) / static_cast<float>(n) + eps);
}

// A row's inputs as the sums see them: normalised where the task says so.
class RowInputs {
 public:
  RowInputs(const LinearTask& task, int64_t row)
      : x_(task.x + row * task.x_stride),
        norm_(task.norm),
        factor_(task.norm != nullptr ? norm_factor(x_, task.k, task.norm_eps) : 1.0f) {}
  float operator[](int64_t i) const { return norm_ != nullptr ? (x_[i] * factor_) * norm_[i] : x_[i]; }

 private:
  const float* x_;
  const float* norm_;
  float factor_;
};

// One group of activations (zeros beyond k) to int8: row-wise, so a row never depends on its neighbours. The scale
// lies behind the integers.
void quantise_group(const RowInputs& x, int64_t begin, int64_t count, int64_t group, uint8_t* to) {
  float amax = 0.0f;
  for (int64_t i = 0; i < count; ++i) amax = std::fabs(x[begin + i]) > amax ? std::fabs(x[begin + i]) : amax;
  const bool zero = !(amax >= kQuantTiny);
  const float inverse = zero ? 0.0f : 127.0f / amax;
  for (int64_t i = 0; i < group; ++i) {
    const float t = (i < count ? x[begin + i] : 0.0f) * inverse + kMagic;
    to[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(t) & 0xffu);
  }
  const float scale = zero ? 0.0f : amax / 127.0f;
  std::memcpy(to + group, &scale, 4);
}

// Tiles of one row. Quantised: per group { int8 [group], f32 scale }; float formats: the row, where it is normalised.
void linear_prepare(const LinearTask& task, int64_t begin, int64_t end) {
  const QuantLayout& layout = quant_layout(task.format);
  const int64_t groups = quant_groups(layout, task.k);
  for (int64_t row = begin; row < end; ++row) {
    const RowInputs x(task, row);
    if (!weight_is_quantised(task.format)) {
      float* to = reinterpret_cast<float*>(task.scratch) + row * task.k;
      for (int64_t k = 0; k < task.k; ++k) to[k] = x[k];
      continue;
    }
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t left = task.k - g * layout.group;
      const int64_t count = left < 0 ? 0 : left < layout.group ? left : layout.group;
      quantise_group(x, g * layout.group, count, layout.group,
                     task.scratch + (row * groups + g) * (layout.group + 4));
    }
  }
}

float dot_float(const LinearTask& task, int64_t row, const uint8_t* panel, int64_t lane) {
  const float* x = reinterpret_cast<const float*>(task.scratch) + row * task.k;
  float acc = 0.0f;
  for (int64_t k = 0; k < task.k; ++k) acc = std::fma(x[k], panel_weight(task.format, panel, k, lane), acc);
  return acc;
}

float dot_quantised(const LinearTask& task, int64_t row, const uint8_t* panel, int64_t lane) {
  const QuantLayout& layout = quant_layout(task.format);
  const int64_t groups = quant_groups(layout, task.k);
  float acc = 0.0f;
  for (int64_t g = 0; g < groups; ++g) {
    const uint8_t* prepared = task.scratch + (row * groups + g) * (layout.group + 4);
    int32_t sum = 0;
    for (int64_t i = 0; i < layout.group; ++i) {
      sum += static_cast<int8_t>(prepared[i]) * panel_quant(task.format, panel, g * layout.group + i, lane);
    }
    float scale;
    std::memcpy(&scale, prepared + layout.group, 4);
    acc = std::fma(static_cast<float>(sum), scale * panel_scale(task.format, panel, g * layout.group, lane), acc);
  }
  return acc;
}

float silu(float gate) { return gate / (1.0f + exp_reference(0.0f - gate)); }

void linear_panels(const LinearTask& task, int64_t begin, int64_t end) {
  for (int64_t panel = begin; panel < end; ++panel) {
    const uint8_t* weights = task.weight + panel * task.panel_bytes;
    const bool paired = task.end == LinearEnd::kSwiglu;
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const int64_t out_col = (paired ? panel / 2 : panel) * kPanel + lane;
      if (out_col >= task.out_cols) break;
      for (int64_t row = 0; row < task.rows; ++row) {
        float sum = weight_is_quantised(task.format) ? dot_quantised(task, row, weights, lane)
                                                     : dot_float(task, row, weights, lane);
        if (task.bias != nullptr) sum += task.bias[panel * kPanel + lane];
        float* out = task.out + row * task.out_stride + out_col;
        if (paired && panel % 2 == 1) sum = silu(*out) * sum;
        *out = task.end == LinearEnd::kAccumulate ? sum + *out : sum;
      }
    }
  }
}

// In place.
void norm_row(float* x, const float* weight, int64_t n, float eps) {
  const float factor = norm_factor(x, n, eps);
  for (int64_t i = 0; i < n; ++i) x[i] = (x[i] * factor) * weight[i];
}

// Online softmax state of one query head.
struct Softmax {
  float m = -std::numeric_limits<float>::infinity();
  float l[16] = {};
  float o[512] = {};
};

void attend_tile(const AttentionTask& task, const float* q, const int32_t* table, int64_t kv_head, int64_t from,
                 int64_t count, Softmax* state) {
  const KvTask& kv = task.cache;
  const auto base = [&](int64_t j) { return kv_head_base(kv, table[(from + j) / kv.block_tokens], kv_head); };
  const auto slot = [&](int64_t j) { return (from + j) % kv.block_tokens; };
  float p[kScoreTile];
  float m = state->m;
  for (int64_t j = 0; j < count; ++j) {
    float dot = 0.0f;
    for (int64_t d = 0; d < kv.head_dim; ++d) {
      dot = std::fma(q[d], kv_load(kv, KvPart::kKey, base(j), slot(j), d), dot);
    }
    p[j] = dot * kv_scale(kv, KvPart::kKey, base(j), slot(j)) * task.scale;  // floats: times 1, which is exact
    m = p[j] > m ? p[j] : m;
  }
  if (m > state->m) {
    const float shrink = exp_reference(state->m - m);
    for (float& l : state->l) l *= shrink;
    for (int64_t d = 0; d < kv.head_dim; ++d) state->o[d] *= shrink;
    state->m = m;
  }
  for (int64_t j = 0; j < count; ++j) {
    p[j] = exp_reference(p[j] - m);
    state->l[j % 16] += p[j];
    p[j] *= kv_scale(kv, KvPart::kValue, base(j), slot(j));
  }
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    for (int64_t j = 0; j < count; ++j) {
      state->o[d] = std::fma(p[j], kv_load(kv, KvPart::kValue, base(j), slot(j), d), state->o[d]);
    }
  }
}

Softmax attend_partition(const AttentionTask& task, const float* q, const int32_t* table, int64_t kv_head,
                         int64_t begin, int64_t end) {
  Softmax state;
  for (int64_t from = begin; from < end; from += kScoreTile) {
    const int64_t count = end - from < kScoreTile ? end - from : kScoreTile;
    attend_tile(task, q, table, kv_head, from, count, &state);
  }
  return state;
}

void join(Softmax* into, const Softmax& next, int64_t dims) {
  const float m = next.m > into->m ? next.m : into->m;
  const float a = exp_reference(into->m - m), b = exp_reference(next.m - m);
  for (int i = 0; i < 16; ++i) into->l[i] = std::fma(next.l[i], b, into->l[i] * a);
  for (int64_t d = 0; d < dims; ++d) into->o[d] = std::fma(next.o[d], b, into->o[d] * a);
  into->m = m;
}

void write_row(const Softmax& state, int64_t dims, float* out) {
  const float l = tree16(state.l);
  for (int64_t d = 0; d < dims; ++d) out[d] = state.o[d] / l;
}

float* partial_of(const AttentionTask& task, int64_t token, int64_t head, int64_t partition) {
  return task.partials + ((token * task.heads + head) * task.partitions + partition) * task.partial_floats;
}

void attend_head(const AttentionTask& task, const AttentionUnit& unit, int64_t token, int64_t head) {
  const int64_t dims = task.cache.head_dim;
  const int32_t* table = task.block_tables + task.sequences[token] * task.table_stride;
  const float* q = task.q + token * task.q_stride + head * dims;
  float* out = task.out + token * task.out_stride + head * dims;
  const int64_t length = int64_t{task.positions[token]} + 1;
  const auto part = [&](int64_t from) {
    const int64_t end = from + kPartition < length ? from + kPartition : length;
    return attend_partition(task, q, table, unit.kv_head, from, end);
  };
  if (unit.part && length > kPartition) {
    if (unit.partition * kPartition >= length) return;
    const Softmax state = part(unit.partition * kPartition);
    float* partial = partial_of(task, token, head, unit.partition);
    *partial = state.m;
    std::memcpy(partial + 16, state.l, sizeof(state.l));
    std::memcpy(partial + kPartialHead, state.o, static_cast<size_t>(dims) * sizeof(float));
    return;
  }
  if (unit.part && unit.partition > 0) return;
  Softmax state = part(0);
  for (int64_t from = kPartition; from < length; from += kPartition) join(&state, part(from), dims);
  write_row(state, dims, out);
}

void attention(const AttentionTask& task, const AttentionUnit& unit) {
  const int64_t group = task.heads / task.cache.kv_heads;
  for (int64_t token = unit.token_begin; token < unit.token_end; ++token) {
    for (int64_t i = 0; i < group; ++i) attend_head(task, unit, token, unit.kv_head * group + i);
  }
}

Softmax load_partial(const float* partial, int64_t dims) {
  Softmax state;
  state.m = *partial;
  std::memcpy(state.l, partial + 16, sizeof(state.l));
  std::memcpy(state.o, partial + kPartialHead, static_cast<size_t>(dims) * sizeof(float));
  return state;
}

void attention_merge(const AttentionTask& task, int64_t begin, int64_t end) {
  const int64_t dims = task.cache.head_dim;
  for (int64_t token = begin; token < end; ++token) {
    const int64_t partitions = task.positions[token] / kPartition + 1;
    for (int64_t head = 0; partitions > 1 && head < task.heads; ++head) {
      Softmax state = load_partial(partial_of(task, token, head, 0), dims);
      for (int64_t i = 1; i < partitions; ++i)
        join(&state, load_partial(partial_of(task, token, head, i), dims), dims);
      write_row(state, dims, task.out + token * task.out_stride + head * dims);
    }
  }
}

void rotate(const float* cos, const float* sin, int64_t half, float* x) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

void qkv_finish(const QkvTask& task, int64_t begin, int64_t end) {
  const int64_t dims = task.cache.head_dim;
  const auto finish = [&](int64_t token, const float* norm, int64_t heads, float* x) {
    for (int64_t head = 0; norm != nullptr && head < heads; ++head) norm_row(x + head * dims, norm, dims, task.eps);
    for (int64_t head = 0; task.half > 0 && head < heads; ++head) {
      const int64_t position = task.positions[token];
      rotate(task.cos + position * task.cos_stride, task.sin + position * task.sin_stride, task.half,
             x + head * dims);
    }
  };
  for (int64_t t = begin; t < end; ++t) {
    finish(t, task.q_norm, task.heads, task.q + t * task.q_stride);
    finish(t, task.k_norm, task.cache.kv_heads, task.k + t * task.k_stride);
  }
  portable_kv_write({task.k, task.v, task.k_stride, task.v_stride, task.slots, task.cache}, begin, end);
}

}  // namespace

const KernelTable* scalar_table() {
  static constexpr KernelTable kTable = {
      .isa = "scalar",
      .row_tile_float = 1,
      .row_tile_int8 = 1,
      .row_tile_int4 = 1,
      .linear_prepare = linear_prepare,
      .linear_panels = linear_panels,
      .embed = portable_embed,
      .qkv_finish = qkv_finish,
      .attention = attention,
      .attention_merge = attention_merge,
  };
  return &kTable;
}

}  // namespace weir::cpu
