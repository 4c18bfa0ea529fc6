#include "server/cpu_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "memory/monitor/fake_root.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::FakeRoot;

constexpr Micros kSecond = 1'000'000;

struct Watched {
  FakeRoot root;
  CpuWatch watch{{.root = root.path(), .thread_ids = [] { return std::vector<int>{11, 12}; }}};
  void times(double run_s, double wait_s) {
    for (const char* id : {"11", "12"}) {
      root.file(std::string("/proc/self/task/") + id + "/schedstat",
                std::to_string(static_cast<int64_t>(run_s * 5e8)) + " " + std::to_string(static_cast<int64_t>(wait_s * 5e8)) + " 1\n");
    }
  }
};

TEST(CpuWatch, ReadsAtMostOnceASecond) {
  Watched w;
  w.times(1, 0.5);
  w.watch.observe(0);
  EXPECT_EQ(w.watch.now().threads, 2);
  EXPECT_DOUBLE_EQ(w.watch.now().run_seconds.value(), 1);
  EXPECT_DOUBLE_EQ(w.watch.now().wait_seconds.value(), 0.5);
  EXPECT_FALSE(w.watch.now().throttled_periods.has_value());
  w.times(2, 0.5);
  w.watch.observe(kSecond / 2);
  EXPECT_DOUBLE_EQ(w.watch.now().run_seconds.value(), 1);
  w.watch.observe(kSecond);
  EXPECT_DOUBLE_EQ(w.watch.now().run_seconds.value(), 2);
}

TEST(CpuWatch, JudgesAWindow) {
  Watched w;
  const auto at = [](double run, double wait, uint64_t throttled) {
    return CpuNow{.threads = 2, .run_seconds = run, .wait_seconds = wait, .throttled_periods = throttled};
  };
  EXPECT_THAT(w.watch.judge(at(0, 0, 0), at(10, 0.5, 0), 10), IsEmpty()) << "5 % happens";
  EXPECT_THAT(w.watch.judge(at(0, 0, 0), at(0.1, 0.2, 0), 10), IsEmpty()) << "hardly anything to do";
  EXPECT_THAT(w.watch.judge(at(5, 5, 0), at(11, 9, 0), 10), HasSubstr("in 40 % of the last 10 s"));
  EXPECT_THAT(w.watch.judge(at(5, 5, 7), at(11, 9, 19), 10), HasSubstr("quota ran out in 12 periods of the last 10 s"));
  EXPECT_THAT(w.watch.judge(CpuNow{}, CpuNow{}, 10), IsEmpty()) << "nothing is known";
  EXPECT_THAT(w.watch.judge(at(0, 0, 0), CpuNow{}, 10), IsEmpty());
  EXPECT_THAT(w.watch.judge(at(9, 9, 9), at(1, 1, 1), 10), IsEmpty()) << "counters that went back";
}

TEST(CpuWatch, SaysItOnceAMinute) {
  Watched w;
  ::testing::internal::CaptureStderr();
  for (int second = 0; second <= 150; ++second) {
    w.times(second, second);
    w.watch.observe(second * kSecond);
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  size_t lines = 0;
  for (size_t at = log.find("compute threads waited"); at != std::string::npos; at = log.find("compute threads waited", at + 1)) ++lines;
  EXPECT_EQ(lines, 3u) << log;  // after 10, 70 and 130 seconds
}

}  // namespace
}  // namespace weir
