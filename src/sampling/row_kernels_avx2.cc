// RowKernels for AVX2; compiled with its flags (CMakeLists.txt) and run only where the CPU has it.
#include <cstddef>

#include "sampling/row_kernels.h"

#if defined(__AVX2__)

#include <immintrin.h>

namespace weir::rows {
namespace {

constexpr int kRegisterBytes = 32;
constexpr char kIsaName[] = "avx2";

#include "sampling/row_kernels-inl.h"

}  // namespace

const RowKernels* avx2_kernels() { return &kKernels; }

}  // namespace weir::rows

#else

namespace weir::rows {
const RowKernels* avx2_kernels() { return nullptr; }
}  // namespace weir::rows

#endif
