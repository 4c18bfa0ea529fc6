// Packs checkpoint rows into panels of 16 columns (layout: kernel_table.h). Runs at load, compiled for the baseline
// CPU, on disjoint panels from several workers. Rows and inputs beyond n and k become zeros. Never allocates.
#pragma once

#include <cstdint>

#include "kernels/packed_weight.h"

namespace weir::cpu {

int64_t panel_bytes(WeightFormat format, int64_t k);  // a multiple of 64

// Writes the rows of `args` that lie in panels [panel_begin, panel_end) of args.dst; `weight` is its memory.
void pack_panels(const PackRowsArgs& args, uint8_t* weight, int64_t panel_begin, int64_t panel_end);

}  // namespace weir::cpu
