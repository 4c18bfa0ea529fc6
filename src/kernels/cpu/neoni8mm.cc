// NEON kernels with the dot-product and the 8-bit matrix extension. Compiled with -march=armv8.2-a+dotprod+fp16+i8mm;
// empty elsewhere.
#include "kernels/cpu/isa_unit.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_MATMUL_INT8)
#include <arm_neon.h>

#define WEIR_MATRIX 1

namespace weir::cpu {
namespace {
#include "kernels/cpu/isa_neon-inl.h"

#include "kernels/cpu/body-inl.h"
constexpr KernelTable kTable = body_table("neoni8mm");
}  // namespace
const KernelTable* neoni8mm_table() { return &kTable; }
}  // namespace weir::cpu
#else
namespace weir::cpu {
const KernelTable* neoni8mm_table() { return nullptr; }
}  // namespace weir::cpu
#endif
