// Holds one kernel table to another, bit for bit. No GoogleTest, so that the cross-compiled NEON check can link it
// statically and run under an emulator. Test code: not part of the library.
#pragma once

#include <string>

#include "kernels/cpu/kernel_table.h"

namespace weir::cpu {

struct CompareResult {
  int64_t cases = 0;
  std::string mismatch;  // empty, or the first difference with everything needed to repeat it
};

// Every op x dtype x awkward length, rows 1..40, misaligned inputs, panels cut anywhere, guard values around
// outputs, and recycled KV memory full of NaN. A row's reference is computed once, in one large call, so agreement
// also shows that a row does not depend on how many others there are. `stride` skips cases for slow emulators; 1 =
// all.
CompareResult compare_tables(const KernelTable& got, const KernelTable& want, int stride);

// The same in sections that each repeat by themselves, so that a slow table can be compared by several tests: first
// one for each weight format (linear), then one for each KV format (qkv_finish and attention).
int compare_sections();
std::string compare_section_name(int section);  // letters, digits and _
CompareResult compare_section(const KernelTable& got, const KernelTable& want, int stride, int section);

}  // namespace weir::cpu
