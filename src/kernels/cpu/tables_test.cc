// Every instruction set this CPU has against the scalar reference: the same bits. Sanitizers see the reference
// alone, in fewer cases.
#include <gtest/gtest.h>

#include <cmath>

#include "base/sanitized.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/table_compare.h"

namespace weir::cpu {
namespace {

void expect_bits_of_scalar(const char* isa) {
  for (const KernelTable* table : usable_tables()) {
    if (std::string_view(table->isa) != isa) continue;
    const CompareResult result = compare_tables(*table, *scalar_table(), kSanitizedStride);
    EXPECT_EQ(result.mismatch, "");
    EXPECT_GT(result.cases, 30000 / kSanitizedStride);
    return;
  }
  GTEST_SKIP() << "this CPU or build has no " << isa;
}

TEST(KernelBits, Avx2) { expect_bits_of_scalar("avx2"); }
TEST(KernelBits, Avx512) { expect_bits_of_scalar("avx512"); }
TEST(KernelBits, Avx512Vnni) { expect_bits_of_scalar("avx512vnni"); }
TEST(KernelBits, Neon) { expect_bits_of_scalar("neon"); }
TEST(KernelBits, NeonMatrix) { expect_bits_of_scalar("neoni8mm"); }

// The comparison itself must be able to fail: a table whose linear is off by one bit somewhere is found.
TEST(KernelBits, ComparisonNoticesOneBit) {
  KernelTable broken = *scalar_table();
  broken.linear_panels = [](const LinearTask& task, int64_t begin, int64_t end) {
    scalar_table()->linear_panels(task, begin, end);
    if (task.n == 70 && begin < end && task.rows > 4) task.out[3 * task.out_stride] = std::nextafter(task.out[3 * task.out_stride], 1e9f);
  };
  const CompareResult result = compare_tables(broken, *scalar_table(), 16);
  EXPECT_NE(result.mismatch.find("linear "), std::string::npos) << result.mismatch;
}

}  // namespace
}  // namespace weir::cpu
