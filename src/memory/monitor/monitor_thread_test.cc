#include "memory/monitor/monitor_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "memory/monitor/recorder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using testing::FakeRoot;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct MonitorTest : ::testing::Test {
  FakeRoot root;
  FakeClock clock;
  Recorder actions;

  MonitorOptions options(GovernorMode mode = GovernorMode::kOn) const {
    return {.root = root.path(),
            .poll_us = 3'600'000'000,
            .reserve_bytes = kGiB,
            .plan_bytes = 0,
            .mode = mode,
            .governor = {}};
  }
  void turns(MonitorThread* monitor, int count) {
    for (int i = 0; i < count; ++i) {
      clock.advance_us(250'000);
      monitor->turn();
    }
  }
};

TEST_F(MonitorTest, AMachineThatFillsAndEmpties) {
  MonitorThread monitor(options(), &clock, &actions);
  root.available(8 * kGiB);
  turns(&monitor, 4);
  EXPECT_EQ(monitor.status().stage, Stage::kCalm);
  EXPECT_EQ(monitor.status().reading.room_bytes, 8 * kGiB);
  EXPECT_THAT(actions.calls, IsEmpty());
  root.available(kGiB / 3);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 20);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 4) << "one line a stage: " << log;
  EXPECT_THAT(
      log, HasSubstr("WARNING memory: stage shrink_work -> refuse_new: pressure 0.83, room 341.3 MiB of a reserve "
                     "of 1.00 GiB, decided by MemAvailable"));
  EXPECT_EQ(monitor.status().stage, Stage::kRefuseNew);
  root.available(8 * kGiB);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 40);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("INFO memory: stage stop_growing -> calm"));
  const MonitorStatus end = monitor.status();
  EXPECT_EQ(end.stage, Stage::kCalm);
  EXPECT_THAT(end.entered, ElementsAre(1, 2, 2, 2, 1, 0));
  EXPECT_THAT(actions.calls,
              ::testing::IsSupersetOf({"stop_growing", "drop", "shrink", "refuse", "admit", "widen", "grow"}));
}

// A line that is waited for must not be what the door waits for.
TEST_F(MonitorTest, ActsFirstAndLogsAfterwards) {
  struct Witness final : GovernorActions {
    std::vector<off_t> log_sizes;  // while stderr is captured into a file
    void note() { log_sizes.push_back(lseek(STDERR_FILENO, 0, SEEK_CUR)); }
    void stop_growing(bool) override { note(); }
    void drop_caches() override { note(); }
    void shrink_work(bool) override { note(); }
    void refuse_new(bool) override { note(); }
    void cancel_newest() override { note(); }
  } witness;
  MonitorThread monitor(options(), &clock, &witness);
  root.available(0);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("calm -> cancel_newest"));
  ASSERT_GE(witness.log_sizes.size(), 4u);
  for (const off_t size : witness.log_sizes) EXPECT_EQ(size, 0);
}

TEST_F(MonitorTest, ObserveEntersStagesAndDoesNothing) {
  MonitorThread monitor(options(GovernorMode::kObserve), &clock, &actions);
  root.available(0);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 4);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("calm -> cancel_newest (observed only)"));
  EXPECT_EQ(monitor.status().stage, Stage::kCancelNewest);
  EXPECT_THAT(actions.calls, IsEmpty());
}

TEST_F(MonitorTest, OffMeasuresOnly) {
  MonitorThread monitor(options(GovernorMode::kOff), &clock, &actions);
  root.available(0);
  turns(&monitor, 4);
  EXPECT_EQ(monitor.status().stage, Stage::kCalm);
  EXPECT_EQ(monitor.status().reading.level(), 1);
  EXPECT_THAT(actions.calls, IsEmpty());
}

TEST_F(MonitorTest, AMachineThatTellsNothingIsSaidOnce) {
  MonitorThread monitor(options(), &clock, &actions);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 10);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
  EXPECT_THAT(log, HasSubstr("the governor cannot act"));
  EXPECT_EQ(monitor.status().reading.source, "unknown");
}

TEST_F(MonitorTest, ThePlanMayChangeWhileServing) {
  MonitorThread monitor(options(), &clock, &actions);
  root.available(8 * kGiB).file("/proc/self/status", "VmRSS:\t 2097152 kB\n");
  monitor.set_planned_bytes(2 * kGiB);
  turns(&monitor, 1);
  EXPECT_EQ(monitor.status().reading.level(), 0);
  monitor.set_planned_bytes(kGiB);
  ::testing::internal::CaptureStderr();
  turns(&monitor, 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("calm -> stop_growing"));
  EXPECT_EQ(monitor.status().reading.source, "resident memory above the plan");
}

TEST_F(MonitorTest, ObserversSeeEveryTurnOnItsThread) {
  MonitorThread monitor(options(), &clock, &actions);
  root.available(5 * kGiB);
  std::mutex mutex;
  std::condition_variable seen;
  std::optional<uint64_t> available;
  Micros at = 0;
  std::thread::id thread;
  monitor.add_observer([&](Micros now, const HostFacts& facts) {
    std::lock_guard lock(mutex);
    available = facts.mem_available_bytes;
    at = now;
    thread = std::this_thread::get_id();
    seen.notify_all();
  });
  clock.advance_us(77);
  ASSERT_TRUE(monitor.start().ok());
  {
    std::unique_lock lock(mutex);
    seen.wait(lock, [&] { return available.has_value(); });
    EXPECT_EQ(*available, 5 * kGiB);
    EXPECT_EQ(at, clock.now_us());
    EXPECT_NE(thread, std::this_thread::get_id());
  }
  monitor.stop();  // the poll is an hour: a stop that waited for it would hang the test
  monitor.stop();
}

TEST(GovernorMode, IsOneOfThreeWords) {
  EXPECT_EQ(parse_governor_mode("observe").value(), GovernorMode::kObserve);
  EXPECT_THAT(parse_governor_mode("maybe").status().message(), HasSubstr("choose on, off or observe"));
}

}  // namespace
}  // namespace weir
