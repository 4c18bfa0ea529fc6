// AVX-512 F, BW, VL, DQ kernels. Compiled with those flags; empty elsewhere.
#include "kernels/cpu/isa_unit.h"

#if defined(__AVX512BW__)
#include <immintrin.h>

namespace weir::cpu {
namespace {
#include "kernels/cpu/isa_avx512-inl.h"

#include "kernels/cpu/body-inl.h"
constexpr KernelTable kTable = body_table("avx512");
}  // namespace
const KernelTable* avx512_table() { return &kTable; }
}  // namespace weir::cpu
#else
namespace weir::cpu {
const KernelTable* avx512_table() { return nullptr; }
}  // namespace weir::cpu
#endif
