// The AVX-512 kernels as SIMDe emulates them on AVX2, against the scalar reference: the same bits.
#include <gtest/gtest.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/simde_tables.h"
#include "kernels/cpu/table_compare.h"

namespace weir::cpu {
namespace {

void expect_bits_of_scalar(const KernelTable& table) {
  if (usable_tables().size() == 1) GTEST_SKIP() << "this CPU has no AVX2, which the emulation is compiled for";
  const CompareResult result = compare_tables(table, *scalar_table(), 3);
  EXPECT_EQ(result.mismatch, "");
  EXPECT_GT(result.cases, 15000);
}

TEST(KernelSimde, Avx512) { expect_bits_of_scalar(*simde_avx512_table()); }
TEST(KernelSimde, Avx512Vnni) { expect_bits_of_scalar(*simde_avx512vnni_table()); }

}  // namespace
}  // namespace weir::cpu
