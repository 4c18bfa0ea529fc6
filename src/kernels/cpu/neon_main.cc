// Stand-alone check for an emulator: NEON against the scalar reference, bit for bit. tests/neon_qemu.sh builds it
// statically with the cross compiler. Exit status 0 = same bits, 1 = not, 2 = this build has no NEON kernels.
#include <cstdio>
#include <cstdlib>

#include "kernels/cpu/table_compare.h"

int main(int argc, char** argv) {
  const int stride = argc > 1 ? std::atoi(argv[1]) : 1;
  int status = 0;
  for (const weir::cpu::KernelTable* table : {weir::cpu::neon_table(), weir::cpu::neoni8mm_table()}) {
    if (table == nullptr) {
      std::fprintf(stderr, "no NEON kernels in this build\n");
      return 2;
    }
    const auto result = weir::cpu::compare_tables(*table, *weir::cpu::scalar_table(), stride < 1 ? 1 : stride);
    std::printf("%s against scalar: %lld comparisons, %s\n", table->isa, static_cast<long long>(result.cases),
                result.mismatch.empty() ? "all the same bits" : result.mismatch.c_str());
    if (!result.mismatch.empty() || result.cases == 0) status = 1;
  }
  return status;
}
