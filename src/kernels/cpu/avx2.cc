// AVX2 + FMA + F16C kernels. Compiled with -mavx2 -mfma -mf16c; empty elsewhere.
#include "kernels/cpu/isa_unit.h"

#if defined(__AVX2__)
#include <immintrin.h>

namespace weir::cpu {
namespace {
#include "kernels/cpu/isa_avx2-inl.h"

#include "kernels/cpu/body-inl.h"
constexpr KernelTable kTable = body_table("avx2");
}  // namespace
const KernelTable* avx2_table() { return &kTable; }
}  // namespace weir::cpu
#else
namespace weir::cpu {
const KernelTable* avx2_table() { return nullptr; }
}  // namespace weir::cpu
#endif
