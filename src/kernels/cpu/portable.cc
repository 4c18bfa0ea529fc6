#include "kernels/cpu/portable.h"

namespace weir::cpu {
namespace {

void embed_row_major(const EmbedTask& task, int64_t id, float* out) {
  const DType dtype = element_type(task.format);
  const uint8_t* row = task.table + id * task.hidden * element_bytes(dtype);
  for (int64_t c = 0; c < task.hidden; ++c) out[c] = load_element(dtype, row + c * element_bytes(dtype));
}

void embed_packed(const EmbedTask& task, int64_t id, float* out) {
  const uint8_t* panel = task.table + id / kPanel * task.panel_bytes;
  const int64_t lane = id % kPanel;
  for (int64_t c = 0; c < task.hidden; ++c) {
    out[c] = weight_is_quantised(task.format)
                 ? static_cast<float>(panel_quant(task.format, panel, c, lane)) * panel_scale(task.format, panel, c, lane)
                 : panel_weight(task.format, panel, c, lane);
  }
}

}  // namespace

void portable_embed(const EmbedTask& task, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    float* out = task.out + t * task.out_stride;
    task.packed ? embed_packed(task, task.ids[t], out) : embed_row_major(task, task.ids[t], out);
  }
}

void portable_rope(const RopeTask& task, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const float* cos = task.cos + task.positions[t] * task.cos_stride;
    const float* sin = task.sin + task.positions[t] * task.sin_stride;
    for (int64_t head = 0; head < task.heads; ++head) {
      float* a = task.x + t * task.x_stride + head * task.head_dim;
      float* b = a + task.half;
      for (int64_t i = 0; i < task.half; ++i) {
        const float first = a[i] * cos[i] - b[i] * sin[i];
        const float second = b[i] * cos[i] + a[i] * sin[i];
        a[i] = first;
        b[i] = second;
      }
    }
  }
}

}  // namespace weir::cpu
