// Packs checkpoint rows into panels of 16 columns (layout: kernel_table.h). Runs at load, compiled for the baseline
// CPU, on disjoint panels from several workers. Rows and inputs beyond n and k become zeros. Never allocates.
#pragma once

#include <cstdint>

#include "kernels/packed_weight.h"

namespace weir::cpu {

// Goes up with every change of the packed bytes of any format, so that a weight cache of an older weir is not used.
// pack_test.cc fails when the bytes change and this does not.
constexpr uint32_t kPackVersion = 1;

int64_t panel_bytes(WeightFormat format, int64_t k);  // a multiple of 64

// Writes the rows of `args` that lie in panels [panel_begin, panel_end) of args.dst; `weight` is its memory.
void pack_panels(const PackRowsArgs& args, uint8_t* weight, int64_t panel_begin, int64_t panel_end);

}  // namespace weir::cpu
