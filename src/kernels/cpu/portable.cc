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

}  // namespace weir::cpu
