// RowKernels on 16-byte registers, which every machine that weir is built for has.
#include <cstddef>

#include "sampling/row_kernels.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir::rows {
namespace {

constexpr int kRegisterBytes = 16;
constexpr char kIsaName[] = "portable";

#include "sampling/row_kernels-inl.h"

}  // namespace

const RowKernels* portable_kernels() { return &kKernels; }

}  // namespace weir::rows
