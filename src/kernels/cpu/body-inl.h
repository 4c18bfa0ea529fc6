// All bodies in order, and the table that offers them. A per-ISA translation unit is: its intrinsics header, the
// plain headers, a namespace, isa_<name>-inl.h, this file, and its <name>_table().

#include "kernels/cpu/vec16-inl.h"

#include "kernels/cpu/rowwise-inl.h"

#include "kernels/cpu/linear_end-inl.h"

#include "kernels/cpu/linear_float-inl.h"

#include "kernels/cpu/linear_int-inl.h"

#include "kernels/cpu/linear_prepare-inl.h"

#include "kernels/cpu/linear-inl.h"

#include "kernels/cpu/attention_state-inl.h"

#include "kernels/cpu/attention_few-inl.h"

#include "kernels/cpu/attention_many-inl.h"

#include "kernels/cpu/attention-inl.h"

#include "kernels/cpu/qkv_finish-inl.h"

constexpr KernelTable body_table(const char* isa) {
  return {
      .isa = isa,
      .row_tile_float = kRowsFloat,
      .row_tile_int8 = kRowsInt8,
      .row_tile_int4 = kRowsInt4,
      .linear_prepare = linear_prepare,
      .linear_panels = linear_panels,
      .embed = portable_embed,
      .qkv_finish = qkv_finish,
      .attention = attention,
      .attention_merge = attention_merge,
  };
}
