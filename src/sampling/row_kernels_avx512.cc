// RowKernels for AVX-512; compiled with its flags (CMakeLists.txt) and run only where the CPU has it.
#include <cstddef>

#include "sampling/row_kernels.h"

#if defined(__AVX512DQ__)

#include <immintrin.h>

namespace weir::rows {
namespace {

constexpr int kRegisterBytes = 64;
constexpr char kIsaName[] = "avx512";

#include "sampling/row_kernels-inl.h"

}  // namespace

const RowKernels* avx512_kernels() { return &kKernels; }

}  // namespace weir::rows

#else

namespace weir::rows {
const RowKernels* avx512_kernels() { return nullptr; }
}  // namespace weir::rows

#endif
