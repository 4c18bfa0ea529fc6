// AVX-512 with VNNI kernels. Compiled with those flags; empty elsewhere.
#include "kernels/cpu/isa_unit.h"

#if defined(__AVX512VNNI__)
#include <immintrin.h>

#define WEIR_VNNI 1
namespace weir::cpu {
namespace {
#include "kernels/cpu/isa_avx512-inl.h"

#include "kernels/cpu/body-inl.h"
constexpr KernelTable kTable = body_table("avx512vnni");
}  // namespace
const KernelTable* avx512vnni_table() { return &kTable; }
}  // namespace weir::cpu
#else
namespace weir::cpu {
const KernelTable* avx512vnni_table() { return nullptr; }
}  // namespace weir::cpu
#endif
