#include "memory/monitor/cpu_throttling.h"

#include <gtest/gtest.h>

#include <array>

#include "memory/monitor/fake_root.h"

namespace weir {
namespace {

using testing::FakeRoot;

TEST(CpuThrottling, SumsOwnGroupAndAncestors) {
  FakeRoot root;
  root.cgroup2("/a/b");
  EXPECT_FALSE(read_throttled_periods(root.path()).has_value());
  root.group("/a/b", "cpu.stat", "usage_usec 5\nnr_periods 10\nnr_throttled 3\nthrottled_usec 9");
  EXPECT_EQ(read_throttled_periods(root.path()), 3u);
  root.group("/a", "cpu.stat", "nr_throttled 40");
  EXPECT_EQ(read_throttled_periods(root.path()), 43u);
}

TEST(CpuThrottling, NonsenseIsUnknown) {
  FakeRoot root;
  root.cgroup2("/a");
  for (const char* text : {"", "nr_throttled", "nr_throttled -1", "nr_throttled many", "nr_throttled 99999999999999999999"}) {
    root.group("/a", "cpu.stat", text);
    EXPECT_FALSE(read_throttled_periods(root.path()).has_value()) << text;
  }
}

TEST(CpuThrottling, SumsTheTimesOfThreads) {
  FakeRoot root;
  root.file("/proc/self/task/7/schedstat", "1000 20 5\n").file("/proc/self/task/9/schedstat", "500 3 1\n");
  const auto times = read_cpu_times(std::array{7, 0, 9}, root.path());
  ASSERT_TRUE(times.has_value());
  EXPECT_EQ(times->run_ns, 1500u);
  EXPECT_EQ(times->wait_ns, 23u);
  EXPECT_FALSE(read_cpu_times(std::array{7, 8}, root.path()).has_value()) << "a thread that is gone";
  EXPECT_FALSE(read_cpu_times(std::array{0}, root.path()).has_value());
  root.file("/proc/self/task/9/schedstat", "18446744073709551615 3 1\n");
  EXPECT_FALSE(read_cpu_times(std::array{7, 9}, root.path()).has_value());
}

}  // namespace
}  // namespace weir
