#include "sampling/row_kernels.h"

#include <bit>
#include <cstdlib>
#include <string_view>

namespace weir::rows {

double grid_rounder(int64_t length) {
  int bits = 2;  // below it a weight of 1 would leave the rounder's binade
  while ((int64_t{1} << bits) < length) ++bits;
  return 0.75 * static_cast<double>(uint64_t{1} << bits);
}

const RowKernels* choose_row_kernels() {
  const char* forced = std::getenv("WEIR_ISA");
  const std::string_view wanted = forced == nullptr ? "" : forced;
#if defined(__x86_64__)
  const bool wide = wanted.empty() || wanted.starts_with("avx512");
  if (wide && avx512_kernels() != nullptr && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    return avx512_kernels();
  }
  if ((wide || wanted == "avx2") && avx2_kernels() != nullptr && __builtin_cpu_supports("avx2"))
    return avx2_kernels();
#endif
  return portable_kernels();
}

}  // namespace weir::rows
