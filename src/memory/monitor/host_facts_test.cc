#include "memory/monitor/host_facts.h"
#include "base/sanitized.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "memory/monitor/huge_pages.h"
#include "memory/monitor/proc_text.h"

namespace weir {
namespace {

using testing::FakeRoot;
using ::testing::HasSubstr;

constexpr const char* kMeminfo = "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n";
constexpr const char* kV2Mount =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(HostFacts, PhysicalMemoryAndOwnUse) {
  FakeRoot root;
  root.file("/proc/meminfo", kMeminfo)
      .file("/proc/self/status",
            "Name:\tweir\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\nRssAnon:\t 50 kB\nRssFile:\t 140 kB\n"
            "RssShmem:\t 10 kB\nCpus_allowed_list:\t0-3,8\n");
  const HostFacts facts = root.read();
  EXPECT_EQ(facts.mem_total_bytes, 16 * kGiB);
  EXPECT_EQ(facts.mem_available_bytes, 8 * kGiB);
  EXPECT_EQ(facts.rss_bytes, 200 * kKiB);
  EXPECT_EQ(facts.rss_peak_bytes, 300 * kKiB);
  EXPECT_EQ(facts.rss_file_bytes, 140 * kKiB);
  EXPECT_EQ(facts.rss_anon_bytes, 50 * kKiB);
  EXPECT_EQ(facts.cpus_allowed, 5);
  EXPECT_TRUE(facts.cgroup_limits.empty());
  EXPECT_EQ(effective_limit(facts, {}).value().source, "physical memory");
}

TEST(HostFacts, EveryAncestorOfVersion2Counts) {
  FakeRoot root;
  root.file("/proc/meminfo", kMeminfo)
      .file("/proc/self/mountinfo", kV2Mount)
      .file("/proc/self/cgroup", "0::/a/b/c\n")
      .file("/sys/fs/cgroup/a/b/c/memory.max", "max\n")
      .file("/sys/fs/cgroup/a/b/c/memory.high", "7516192768\n")
      .file("/sys/fs/cgroup/a/b/memory.max", "8589934592\n")
      .file("/sys/fs/cgroup/a/memory.max", "4294967296\n")
      .file("/sys/fs/cgroup/a/memory.high", "max\n")
      .file("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n")
      .file("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n")
      .file("/sys/fs/cgroup/a/cpu.max", "400000 100000\n")
      .file("/sys/fs/cgroup/sibling/memory.max", "1\n");
  HostFacts facts = root.read();
  EXPECT_EQ(facts.cgroup_limits.size(), 3u);
  const MemoryLimit limit = effective_limit(facts, {}).value();
  EXPECT_EQ(limit.bytes, 4 * kGiB);
  EXPECT_EQ(limit.source, "/sys/fs/cgroup/a/memory.max");
  EXPECT_EQ(facts.cgroup_cpus, 2.5);
}

TEST(HostFacts, TheFlagLowersButNeverRaises) {
  FakeRoot root;
  root.file("/proc/meminfo", kMeminfo);
  EXPECT_EQ(effective_limit(root.read(), kGiB).value().source, "--memory-limit");
  EXPECT_EQ(effective_limit(root.read(), 64 * kGiB).value().bytes, 16 * kGiB);
}

TEST(HostFacts, Version1AndItsHiddenAncestors) {
  FakeRoot root;
  root.file("/proc/self/mountinfo",
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
            "37 31 0:34 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n")
      .file("/proc/self/cgroup", "5:pids:/\n4:memory:/x/y\n3:cpu,cpuacct:/x\n")
      .file("/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", "9223372036854771712\n")
      .file("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "3221225472\n")
      .file("/sys/fs/cgroup/memory/x/y/memory.stat", "cache 5\nhierarchical_memory_limit 2147483648\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "150000\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
      .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  const HostFacts facts = root.read();
  ASSERT_EQ(facts.cgroup_limits.size(), 2u);
  EXPECT_EQ(effective_limit(facts, {}).value().bytes, 2 * kGiB);
  EXPECT_EQ(facts.cgroup_cpus, 1.5);
}

// What a container sees: the mount shows the part of the tree that /proc/self/cgroup names in full.
TEST(HostFacts, AMountOfPartOfTheTree) {
  FakeRoot root;
  root.file("/proc/self/mountinfo", "35 31 0:32 /docker/id /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n")
      .file("/proc/self/cgroup", "0::/docker/id/inner\n")
      .file("/sys/fs/cgroup/inner/memory.max", "300\n")
      .file("/sys/fs/cgroup/memory.max", "200\n");
  EXPECT_EQ(root.read().cgroup_limits.size(), 2u);
  root.file("/proc/self/cgroup", "0::/../elsewhere\n");
  EXPECT_EQ(effective_limit(root.read(), {}).value().bytes, 200u);
}

TEST(HostFacts, AMountPointWithABlank) {
  FakeRoot root;
  root.file("/proc/self/mountinfo", "35 31 0:32 / /my\\040groups rw - cgroup2 cgroup2 rw\n")
      .file("/proc/self/cgroup", "0::/\n")
      .file("/my groups/memory.max", "4096\n");
  EXPECT_EQ(effective_limit(root.read(), {}).value().source, "/my groups/memory.max");
}

TEST(HostFacts, MissingFilesAreUnknownNotZero) {
  const FakeRoot root;
  const HostFacts facts = root.read();
  EXPECT_FALSE(facts.mem_total_bytes || facts.mem_available_bytes || facts.rss_bytes || facts.rss_peak_bytes ||
               facts.rss_file_bytes || facts.rss_anon_bytes || facts.cpus_allowed || facts.cgroup_cpus);
  EXPECT_FALSE(rss_without_files(facts));
  EXPECT_EQ(effective_limit(facts, {}).status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(effective_limit(facts, {}).status().message(), HasSubstr("--memory-limit"));
  EXPECT_EQ(effective_limit(facts, 5).value().bytes, 5u);
}

TEST(HostFacts, HostileFilesAreUnknownNotZero) {
  for (const char* bad :
       {"", "\n", "0\n", "-1\n", "1e9\n", "garbage\n", "99999999999999999999999\n", "12 34\n", "0x10\n"}) {
    FakeRoot root;
    root.file("/proc/meminfo", std::string("MemTotal: ") + bad + "\nMemAvailable: 18446744073709551615 kB\n")
        .file("/proc/self/status", std::string("VmRSS:\t") + bad + "\nRssFile:\nCpus_allowed_list:\t9-1\n")
        .file("/proc/self/mountinfo", std::string("x - cgroup2\n- - - -\n") + kV2Mount)
        .file("/proc/self/cgroup", "0\n:\n0::/a\n")
        .file("/sys/fs/cgroup/a/memory.max", bad)
        .file("/sys/fs/cgroup/a/cpu.max", std::string("0 ") + bad);
    const HostFacts facts = root.read();
    EXPECT_FALSE(facts.mem_total_bytes || facts.mem_available_bytes || facts.rss_bytes || facts.rss_file_bytes)
        << bad;
    EXPECT_TRUE(facts.cgroup_limits.empty()) << bad;
    EXPECT_FALSE(facts.cpus_allowed || facts.cgroup_cpus) << bad;
  }
}

TEST(HostFacts, PipesAndDirectoriesDoNotBlock) {
  FakeRoot root;
  root.file("/proc/self/cgroup", "0::/\n").file("/proc/self/mountinfo", kV2Mount);
  std::filesystem::create_directories(root.path() + "/sys/fs/cgroup/memory.max");
  ASSERT_EQ(mkfifo((root.path() + "/proc/meminfo").c_str(), 0600), 0);
  EXPECT_FALSE(root.read().mem_total_bytes);
}

TEST(HostFacts, EndlessFilesAreCut) {
  FakeRoot root;
  root.file("/proc/meminfo", std::string(3 << 20, 'x') + "\nMemTotal: 16 kB\n");
  EXPECT_FALSE(root.read().mem_total_bytes);
}

TEST(CpuList, CountsOrSaysUnknown) {
  EXPECT_EQ(count_cpu_list("0"), 1);
  EXPECT_EQ(count_cpu_list("0-1,4-7\n"), 6);
  for (const char* bad : {"", ",", "a", "3-1", "0-", "-3", "0-65536", "1-2-3", "0-65535,0-65535"}) {
    EXPECT_FALSE(count_cpu_list(bad)) << bad;
  }
}

TEST(HostFacts, ThisMachine) {
  const HostFacts facts = read_host_facts();
  ASSERT_TRUE(facts.mem_total_bytes && facts.rss_bytes && facts.rss_peak_bytes && facts.cpus_allowed);
  EXPECT_GT(*facts.mem_total_bytes, 64 * kMiB);
  EXPECT_LE(*facts.rss_bytes, *facts.rss_peak_bytes);
  EXPECT_LE(effective_limit(facts, {}).value().bytes, *facts.mem_total_bytes);
}

// A mapped weights file raises the resident size by its pages; the plan has a line for the weights already, so the
// figure that is added to it must not move.
TEST(HostFacts, page_cache_counted_once) {
#if WEIR_THREAD_SANITIZER
  GTEST_SKIP() << "every touched page has shadow memory of its own here";
#endif
  constexpr size_t kBytes = 32 << 20;
  FakeRoot root;
  root.file("/weights", std::string(kBytes, 'w'));
  const int fd = open((root.path() + "/weights").c_str(), O_RDONLY | O_CLOEXEC);
  void* at = mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  ASSERT_NE(at, MAP_FAILED);
  const HostFacts before = read_host_facts();
  unsigned sum = 0;
  for (size_t i = 0; i < kBytes; i += 4096) sum += static_cast<const volatile unsigned char*>(at)[i];
  const HostFacts after = read_host_facts();
  munmap(at, kBytes);
  EXPECT_EQ(sum, 'w' * kBytes / 4096);
  EXPECT_GE(*after.rss_bytes, *before.rss_bytes + kBytes * 9 / 10);
  EXPECT_GE(*after.rss_file_bytes, *before.rss_file_bytes + kBytes * 9 / 10);
#if !WEIR_THREAD_SANITIZER  // which keeps a shadow of each page that was read, in memory of no file
  EXPECT_LT(*rss_without_files(after), *rss_without_files(before) + kMiB);
#endif
}

TEST(HugePages, ReadFromTheKernelsSumOrUnknown) {
  FakeRoot root;
  EXPECT_FALSE(read_huge_page_bytes(root.path()));
  root.file("/proc/self/smaps_rollup", "00400000-7ffd [rollup]\nRss:  9000 kB\nAnonHugePages:      6144 kB\n");
  EXPECT_EQ(read_huge_page_bytes(root.path()), 6 * kMiB);
  root.file("/proc/self/smaps_rollup", "AnonHugePages:      lots kB\n");
  EXPECT_FALSE(read_huge_page_bytes(root.path()));
  root.file("/proc/self/smaps_rollup", "");
  EXPECT_FALSE(read_huge_page_bytes(root.path()));
}

}  // namespace
}  // namespace weir
