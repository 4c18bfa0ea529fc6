// The AVX-512 kernels as SIMDe emulates them. Test code: not part of the library.
#pragma once

#include "kernels/cpu/kernel_table.h"

namespace weir::cpu {

const KernelTable* simde_avx512_table();
const KernelTable* simde_avx512vnni_table();

}  // namespace weir::cpu
