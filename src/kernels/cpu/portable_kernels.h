// Kernels that every instruction set shares: they move data, or cost little beside the memory they touch. Compiled
// for the baseline CPU. Declarations only, so that per-ISA translation units may include this.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace weir::cpu {

void portable_embed(const EmbedTask& task, int64_t token_begin, int64_t token_end);
void portable_rope(const RopeTask& task, int64_t token_begin, int64_t token_end);
void portable_kv_write(const KvWriteTask& task, int64_t token_begin, int64_t token_end);

}  // namespace weir::cpu
