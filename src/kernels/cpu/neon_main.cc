// Stand-alone check for an emulator: NEON against the scalar reference, bit for bit. tests/neon_qemu.sh builds it
// statically with the cross compiler. Exit status 0 = same bits, 1 = not, 2 = this build has no NEON kernels.
#include <cstdio>
#include <cstdlib>

#include "kernels/cpu/table_compare.h"

int main(int argc, char** argv) {
  const int stride = argc > 1 ? std::atoi(argv[1]) : 1;
  if (weir::cpu::neon_table() == nullptr) {
    std::fprintf(stderr, "no NEON kernels in this build\n");
    return 2;
  }
  const auto result =
      weir::cpu::compare_tables(*weir::cpu::neon_table(), *weir::cpu::scalar_table(), stride < 1 ? 1 : stride);
  std::printf("neon against scalar: %lld comparisons, %s\n", static_cast<long long>(result.cases),
              result.mismatch.empty() ? "all the same bits" : result.mismatch.c_str());
  return result.mismatch.empty() && result.cases > 0 ? 0 : 1;
}
