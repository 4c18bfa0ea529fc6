// NEON kernels with the dot-product extension. Compiled with -march=armv8.2-a+dotprod+fp16; empty elsewhere.
#include "kernels/cpu/isa_unit.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>

namespace weir::cpu {
namespace {
#include "kernels/cpu/isa_neon-inl.h"

#include "kernels/cpu/body-inl.h"
constexpr KernelTable kTable = body_table("neon");
}  // namespace
const KernelTable* neon_table() { return &kTable; }
}  // namespace weir::cpu
#else
namespace weir::cpu {
const KernelTable* neon_table() { return nullptr; }
}  // namespace weir::cpu
#endif
