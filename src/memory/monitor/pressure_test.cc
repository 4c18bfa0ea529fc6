#include "memory/monitor/pressure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "memory/monitor/proc_text.h"

namespace weir {
namespace {

using testing::FakeRoot;

constexpr uint64_t kReserve = kGiB;

PressureReading read_once(const FakeRoot& root, uint64_t plan_bytes = 0) {
  PressureReader reader({.root = root.path(), .reserve_bytes = kReserve});
  return reader.read(root.read(), plan_bytes);
}

std::string stat_v2(uint64_t inactive, uint64_t active, uint64_t dirty = 0, uint64_t writeback = 0) {
  return "anon 1\nfile 5\nfile_dirty " + std::to_string(dirty) + "\nfile_writeback " + std::to_string(writeback) +
         "\ninactive_file " + std::to_string(inactive) + "\nactive_file " + std::to_string(active) +
         "\nunevictable 9";
}

std::string stat_v1(uint64_t inactive, uint64_t active, uint64_t dirty, const std::string& more = "") {
  return "inactive_file 1\nactive_file 2\ndirty 3\ntotal_inactive_file " + std::to_string(inactive) +
         "\ntotal_active_file " + std::to_string(active) + "\ntotal_dirty " + std::to_string(dirty) +
         "\ntotal_writeback 0\n" + more;
}

struct Machine {
  const char* name;
  std::function<void(FakeRoot&)> build;
  uint64_t room;
  const char* source;
};

TEST(Pressure, TheTightestOfEveryMachine) {
  const Machine machines[] = {
      {"no cgroup", [](FakeRoot& root) { root.available(3 * kGiB); }, 3 * kGiB, "MemAvailable"},
      {"v2",
       [](FakeRoot& root) {
         root.available(8 * kGiB).cgroup2("/a").group("/a", "memory.max", 4 * kGiB);
         root.group("/a", "memory.current", 3 * kGiB).group("/a", "memory.stat", stat_v2(0, 0));
       },
       kGiB, "/sys/fs/cgroup/a/memory.max"},
      {"v2, a parent is the tight one",
       [](FakeRoot& root) {
         root.available(8 * kGiB).cgroup2("/a/b").group("/a/b", "memory.max", 4 * kGiB);
         root.group("/a/b", "memory.current", kGiB).group("/a/b", "memory.stat", stat_v2(0, 0));
         root.group("/a", "memory.max", 6 * kGiB).group("/a", "memory.current", 5 * kGiB + kMiB);
         root.group("/a", "memory.stat", stat_v2(0, 0));
       },
       kGiB - kMiB, "/sys/fs/cgroup/a/memory.max"},
      {"v2, high below max",
       [](FakeRoot& root) {
         root.available(8 * kGiB).cgroup2("/a").group("/a", "memory.max", 4 * kGiB);
         root.group("/a", "memory.high", 3 * kGiB).group("/a", "memory.current", 2 * kGiB);
         root.group("/a", "memory.stat", stat_v2(0, 0));
       },
       kGiB, "/sys/fs/cgroup/a/memory.high"},
      {"v2 without a limit",
       [](FakeRoot& root) {
         root.available(5 * kGiB).cgroup2("/a").group("/a", "memory.max", "max").group("/a", "memory.high", "max");
         root.group("/a", "memory.current", 9 * kGiB).group("/a", "memory.stat", stat_v2(0, 0));
       },
       5 * kGiB, "MemAvailable"},
      {"v2, a limit below what is used",
       [](FakeRoot& root) {
         root.available(5 * kGiB).cgroup2("/a").group("/a", "memory.max", kGiB);
         root.group("/a", "memory.current", 2 * kGiB).group("/a", "memory.stat", stat_v2(0, 0));
       },
       0, "/sys/fs/cgroup/a/memory.max"},
      {"v1",
       [](FakeRoot& root) {
         root.available(8 * kGiB).cgroup1("/x").group("/memory/x", "memory.limit_in_bytes", 4 * kGiB);
         root.group("/memory/x", "memory.usage_in_bytes", 3 * kGiB);
         root.group("/memory/x", "memory.stat", stat_v1(kGiB, kMiB, 2 * kMiB));
       },
       2 * kGiB - kMiB, "/sys/fs/cgroup/memory/x/memory.limit_in_bytes"},
      {"v1, an ancestor outside our view",
       [](FakeRoot& root) {
         root.available(8 * kGiB).cgroup1("/").group("/memory", "memory.limit_in_bytes", "9223372036854771712");
         root.group("/memory", "memory.usage_in_bytes", kGiB);
         root.group("/memory", "memory.stat",
                    stat_v1(0, 0, 0, "hierarchical_memory_limit " + std::to_string(3 * kGiB)));
       },
       2 * kGiB, "/sys/fs/cgroup/memory/memory.stat"},
  };
  for (const Machine& machine : machines) {
    FakeRoot root;
    machine.build(root);
    const PressureReading reading = read_once(root);
    ASSERT_TRUE(reading.room_bytes) << machine.name;
    EXPECT_EQ(*reading.room_bytes, machine.room) << machine.name;
    EXPECT_EQ(reading.source, machine.source) << machine.name;
    EXPECT_DOUBLE_EQ(reading.limit_level,
                     std::max(0.0, 1 - static_cast<double>(machine.room) / (2.0 * static_cast<double>(kReserve))))
        << machine.name;
  }
}

// A cgroup that is full of page cache has all the room that dropping it would make; dirty pages must be written
// first.
TEST(Pressure, page_cache_counted_once) {
  FakeRoot root;
  root.available(8 * kGiB)
      .cgroup2("/a")
      .group("/a", "memory.max", 4 * kGiB)
      .group("/a", "memory.current", 4 * kGiB);
  root.group("/a", "memory.stat", stat_v2(2 * kGiB, kGiB));
  EXPECT_EQ(read_once(root).room_bytes, 3 * kGiB);
  EXPECT_EQ(read_once(root).level(), 0);
  root.group("/a", "memory.stat", stat_v2(2 * kGiB, kGiB, 2 * kGiB, kGiB / 2));
  EXPECT_EQ(read_once(root).room_bytes, kGiB / 2);
  root.group("/a", "memory.stat", stat_v2(0, kGiB, 2 * kGiB));
  EXPECT_EQ(read_once(root).room_bytes, 0u) << "more dirty than there is counts as none to drop";
  root.group("/a", "memory.stat", stat_v2(8 * kGiB, 0));
  EXPECT_EQ(read_once(root).room_bytes, 4 * kGiB) << "no more can be dropped than is used";
}

TEST(Pressure, ALimitLoweredWhileServing) {
  FakeRoot root;
  root.available(8 * kGiB)
      .cgroup2("/a")
      .group("/a", "memory.max", 8 * kGiB)
      .group("/a", "memory.current", 2 * kGiB);
  root.group("/a", "memory.stat", stat_v2(0, 0));
  PressureReader reader({.root = root.path(), .reserve_bytes = kReserve});
  EXPECT_EQ(reader.read(root.read(), 0).level(), 0);
  root.group("/a", "memory.max", 2 * kGiB + kGiB / 2);
  EXPECT_DOUBLE_EQ(reader.read(root.read(), 0).level(), 0.75);
  root.group("/a", "memory.max", 8 * kGiB);
  EXPECT_EQ(reader.read(root.read(), 0).level(), 0);
}

TEST(Pressure, AProcessThatIsMovedToAnotherGroup) {
  FakeRoot root;
  root.available(8 * kGiB).cgroup2("/a").group("/b", "memory.max", kGiB).group("/b", "memory.current", kMiB);
  root.group("/b", "memory.stat", stat_v2(0, 0));
  PressureReader reader({.root = root.path(), .reserve_bytes = kReserve});
  EXPECT_EQ(reader.read(root.read(), 0).source, "MemAvailable");
  root.file("/proc/self/cgroup", "0::/b\n");
  EXPECT_EQ(reader.read(root.read(), 0).source, "/sys/fs/cgroup/b/memory.max");
}

TEST(Pressure, StallsOfTheOwnGroupElseOfTheMachine) {
  FakeRoot root;
  root.available(8 * kGiB).file("/proc/pressure/memory",
                                "some avg10=10.00 avg60=0.00 avg300=0.00 total=1\n"
                                "full avg10=10.00 avg60=0.00 avg300=0.00 total=1\n");
  EXPECT_DOUBLE_EQ(read_once(root).sign_level, 0.5);
  EXPECT_EQ(read_once(root).source, "/proc/pressure/memory");
  EXPECT_EQ(read_once(root).limit_level, 0);
  root.cgroup2("/a").group("/a", "memory.pressure", "some avg10=30.00 avg60=0.00 avg300=0.00 total=1\n");
  EXPECT_DOUBLE_EQ(read_once(root).sign_level, 0.75);
  EXPECT_EQ(read_once(root).source, "/sys/fs/cgroup/a/memory.pressure");
  root.group("/a", "memory.pressure", "some avg10=100.00 total=1\nfull avg10=99.99 total=1");
  EXPECT_EQ(read_once(root).sign_level, 1);
}

TEST(Pressure, ResidentMemoryAboveThePlan) {
  FakeRoot root;
  root.available(8 * kGiB).file("/proc/self/status", "VmRSS:\t 3145728 kB\n");
  EXPECT_EQ(read_once(root, 3 * kGiB).level(), 0);
  EXPECT_DOUBLE_EQ(read_once(root, 3 * kGiB - kReserve / 2).sign_level, 0.75);
  EXPECT_EQ(read_once(root, kMiB).sign_level, 1);
  EXPECT_EQ(read_once(root, kMiB).source, "resident memory above the plan");
  EXPECT_EQ(read_once(root, 0).level(), 0) << "no plan is known";
}

constexpr const char* kNonsense[] = {"",
                                     "-1",
                                     "0",
                                     "1e9",
                                     "max",
                                     "garbage",
                                     "99999999999999999999999",
                                     "12 34",
                                     "18446744073709551615",
                                     "9223372036854775807",
                                     "0x10",
                                     "\xff\xfe"};

// Each file in turn holds nonsense while the own group is tight: that source falls away and the parent decides.
TEST(Pressure, NonsenseInAFileLeavesTheOthersToDecide) {
  FakeRoot root;
  root.available(6 * kGiB).cgroup2("/a").group("/a", "memory.max", 4 * kGiB);
  root.group("/a", "memory.current", 4 * kGiB).group("/a", "memory.stat", stat_v2(0, 0));
  root.group("", "memory.max", 8 * kGiB)
      .group("", "memory.current", 3 * kGiB)
      .group("", "memory.stat", stat_v2(0, 0));
  for (const char* file : {"memory.max", "memory.current", "memory.stat"}) {
    const std::string good = read_proc_file(root.path() + "/sys/fs/cgroup/a/" + file).value_or("");
    ASSERT_EQ(read_once(root).room_bytes, 0u) << file;
    for (const char* text : kNonsense) {
      root.group("/a", file, text);
      const PressureReading reading = read_once(root);
      EXPECT_EQ(reading.room_bytes, 5 * kGiB) << file << " = " << text;
      EXPECT_EQ(reading.source, "/sys/fs/cgroup/memory.max") << file << " = " << text;
    }
    root.remove(std::string("/sys/fs/cgroup/a/") + file);
    EXPECT_EQ(read_once(root).room_bytes, 5 * kGiB) << file << " is missing";
    root.file(std::string("/sys/fs/cgroup/a/") + file, good);
  }
}

TEST(Pressure, NonsenseAboutTheMachineIsUnknown) {
  FakeRoot root;
  for (const char* text : kNonsense) {
    root.file("/proc/meminfo", std::string("MemTotal: 16 kB\nMemAvailable: ") + text + "\n");
    const PressureReading reading = read_once(root);
    EXPECT_FALSE(reading.room_bytes) << text;
    EXPECT_EQ(reading.source, "unknown") << text;
  }
  for (const char* text : {"", "nan", "inf", "-1.00", "100.01", "1e1", "12,5", "99999999999999999999999", "\xff"}) {
    root.file("/proc/pressure/memory", std::string("some avg10=") + text + " total=1\nfull avg10=" + text + "\n");
    EXPECT_EQ(read_once(root).source, "unknown") << text;
  }
}

TEST(Pressure, AllUnknownIsCalmAndSaysSo) {
  const FakeRoot root;
  const PressureReading reading = read_once(root, kGiB);
  EXPECT_EQ(reading.level(), 0);
  EXPECT_FALSE(reading.room_bytes);
  EXPECT_EQ(reading.source, "unknown");
}

TEST(Pressure, MoreAvailableThanThereIsIsNonsense) {
  FakeRoot root;
  root.file("/proc/meminfo", "MemTotal: 1024 kB\nMemAvailable: 1025 kB\n");
  EXPECT_EQ(read_once(root).source, "unknown");
  root.file("/proc/meminfo", "MemTotal: 1024 kB\nMemAvailable: 0 kB\n");
  EXPECT_EQ(read_once(root).level(), 1) << "nothing left is not nonsense";
}

TEST(Pressure, TheReserveFollowsTheLimit) {
  EXPECT_EQ(default_reserve_bytes(256 * kMiB), 32 * kMiB);
  EXPECT_EQ(default_reserve_bytes(kGiB), 64 * kMiB);
  EXPECT_EQ(default_reserve_bytes(25 * kGiB), kGiB);
  EXPECT_EQ(default_reserve_bytes(512 * kGiB), 2 * kGiB);
  EXPECT_EQ(default_reserve_bytes(0), 1u);
}

TEST(Pressure, ThisMachineTellsSomething) {
  PressureReader reader({.root = "/", .reserve_bytes = kMiB});
  const PressureReading reading = reader.read(read_host_facts(), 0);
  EXPECT_TRUE(reading.room_bytes);
  EXPECT_NE(reading.source, "unknown");
}

}  // namespace
}  // namespace weir
