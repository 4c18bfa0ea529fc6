// The AVX-512 kernels as SIMDe emulates them on AVX2, against the scalar reference: the same bits. Emulation is
// slow, so each section is a test of its own.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/sanitized.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/simde_tables.h"
#include "kernels/cpu/table_compare.h"

namespace weir::cpu {
namespace {

constexpr int kStride = 3 * kSanitizedStride;
constexpr int64_t kSectionCasesMin = 60 / kSanitizedStride,
                  kCasesMin = 15'000 / kSanitizedStride;  // of all sections together
constexpr int kSparser = 8;  // times, where only the shares of the sections are counted

class KernelSimde : public ::testing::TestWithParam<int> {};

void expect_bits_of_scalar(const KernelTable& table, int section) {
  if (usable_tables().size() == 1) GTEST_SKIP() << "this CPU has no AVX2, which the emulation is compiled for";
  const CompareResult result = compare_section(table, *scalar_table(), kStride, section);
  EXPECT_EQ(result.mismatch, "");
  EXPECT_GT(result.cases, kSectionCasesMin);
}

TEST_P(KernelSimde, Avx512) { expect_bits_of_scalar(*simde_avx512_table(), GetParam()); }
TEST_P(KernelSimde, Avx512Vnni) { expect_bits_of_scalar(*simde_avx512vnni_table(), GetParam()); }

INSTANTIATE_TEST_SUITE_P(Sections, KernelSimde, ::testing::Range(0, compare_sections()),
                         [](const auto& section) { return compare_section_name(section.param); });

// One test for everything ran past its time limit while neighbours had both cores: more cases need more
// sections.
TEST(Faults, simde_time_limit) {
  int64_t all = 0, most = 0;
  for (int section = 0; section < compare_sections(); ++section) {
    const CompareResult result = compare_section(*scalar_table(), *scalar_table(), kSparser * kStride, section);
    all += result.cases;
    most = std::max(most, result.cases);
  }
  EXPECT_GT(all * kSparser, kCasesMin) << "as many as before";
  EXPECT_LT(most * 5, all) << "no section has a fifth of the work";
}

}  // namespace
}  // namespace weir::cpu
