// Which instruction set the CPU kernels use. Decided once, when the backend is made; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/cpu/kernel_table.h"

namespace weir::cpu {

// The tables this build has and this CPU can run, best first; the last one is "scalar". Reads CPUID (with the OS's
// consent to the wide registers, XGETBV) or HWCAP.
std::vector<const KernelTable*> usable_tables();

// `wanted` from the options, "" for the best; WEIR_ISA in the environment goes before both.
// ERRORS: kInvalidArgument, listing what would work here.
Result<const KernelTable*> choose_table(std::string_view wanted);

}  // namespace weir::cpu
