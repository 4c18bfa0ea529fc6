// What /metrics tells of the process is what the monitor read last, and a scrape reads no file.
#include "server/host_watch.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

MemoryPlan plan_of(uint64_t total) {
  MemoryPlan plan;
  plan.total_bytes = total;
  plan.limit_bytes = 2 * total;
  return plan;
}

TEST(Faults, metrics_block_the_door) {
  const auto ledger = std::make_shared<Ledger>(LedgerOptions{});
  HostWatch watch(plan_of(1000), ledger);
  const MemoryNow early = watch.now(5'000'000);
  EXPECT_EQ(early.rss_bytes, 0u) << "no file was read for it";
  EXPECT_EQ(early.age_us, 0);
  EXPECT_EQ(early.limit_bytes, 2000u);

  HostFacts facts;
  facts.rss_bytes = 700;
  facts.rss_peak_bytes = 900;
  facts.rss_file_bytes = 100;
  watch.observe(1'000'000, facts);
  watch.set_huge_page_bytes(64);
  const MemoryNow now = watch.now(1'250'000);
  EXPECT_EQ(now.rss_bytes, 700u);
  EXPECT_EQ(now.peak_bytes, 900u);
  EXPECT_EQ(now.plan_bytes, 1000u);
  EXPECT_EQ(now.unaccounted_bytes, 600);
  EXPECT_EQ(now.huge_page_bytes, 64u);
  EXPECT_EQ(now.age_us, 250'000);

  watch.observe(2'000'000, HostFacts{});
  EXPECT_EQ(watch.now(1'999'000).rss_bytes, 0u) << "unknown, and not the last one that was known";
  EXPECT_EQ(watch.now(1'999'000).age_us, 0) << "a clock read before the turn";
}

}  // namespace
}  // namespace weir
