#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "base/sanitized.h"
#include "base/units.h"
#include "device/host/host_device.h"

namespace weir {
namespace {

// Pages of [begin, begin + bytes) that are in memory.
uint64_t resident_bytes(const char* begin, uint64_t bytes) {
  std::vector<unsigned char> pages((bytes + 4095) / 4096);
  if (mincore(const_cast<char*>(begin), bytes, pages.data()) != 0) return 0;
  uint64_t resident = 0;
  for (unsigned char page : pages) resident += (page & 1) * 4096;
  return resident;
}

TEST(HostDevice, ReservedMemoryIsZeroAlignedAndTouched) {
  HostDevice device;
  for (uint64_t bytes : {uint64_t{1}, uint64_t{4097}, 3 * kMiB + 5, 16 * kMiB}) {
    auto region = device.reserve(bytes);
    ASSERT_TRUE(region.ok()) << region.status().message();
    ASSERT_EQ(region->span().bytes, bytes);
    EXPECT_EQ(region->span().data.address() % 256, 0u);
    const char* begin = host_ptr<char>(region->span().data);
    EXPECT_GE(resident_bytes(begin, bytes), bytes) << "touched at start, not at first use";
    for (uint64_t i = 0; i < bytes; i += 1021) ASSERT_EQ(begin[i], 0);
    EXPECT_EQ(begin[bytes - 1], 0);
  }
}

// Whatever the kernel says to it: a machine without the second node, or a container that forbids mbind.
TEST(HostDevice, SpreadOverNodesOrNotMemoryIsThere) {
  for (const std::vector<int>& nodes : {std::vector<int>{0}, {0, 1}, {0, kNumaNodesMax - 1}}) {
    HostDevice device({.nodes = nodes});
    auto region = device.reserve(3 * kMiB);
    ASSERT_TRUE(region.ok()) << region.status().message();
    const char* begin = host_ptr<char>(region->span().data);
    EXPECT_GE(resident_bytes(begin, 3 * kMiB), 3 * kMiB);
    for (uint64_t i = 0; i < 3 * kMiB; i += 4096) ASSERT_EQ(begin[i], 0);
  }
}

TEST(HostDevice, EmptyRegionIsFine) {
  HostDevice device;
  auto region = device.reserve(0);
  ASSERT_TRUE(region.ok());
  EXPECT_TRUE(region->span().data.is_null());
}

TEST(HostDevice, ImpossibleSizesAreAnErrorThatNamesBothNumbers) {
  HostDevice device;
  for (uint64_t bytes : {device.memory_total_bytes() * 4, uint64_t{1} << 62, ~uint64_t{0}}) {
    auto region = device.reserve(bytes);
    ASSERT_FALSE(region.ok());
    EXPECT_EQ(region.status().code(), Code::kResourceExhausted);
    EXPECT_NE(region.status().message().find("available"), std::string::npos) << region.status().message();
  }
  EXPECT_FALSE(device.reserve(4096, ~uint64_t{0}).ok());
}

TEST(HostDevice, ResizeKeepsAddressAndFrontAndReturnsPages) {
  HostDevice device;
  auto region = device.reserve(kMiB, 64 * kMiB);
  ASSERT_TRUE(region.ok());
  char* begin = host_ptr<char>(region->span().data);
  std::memset(begin, 7, kMiB);
  ASSERT_TRUE(region->resize(32 * kMiB).ok());
  EXPECT_EQ(host_ptr<char>(region->span().data), begin);
  EXPECT_EQ(begin[kMiB - 1], 7);
  EXPECT_EQ(begin[kMiB], 0);
  EXPECT_GE(resident_bytes(begin, 32 * kMiB), 32 * kMiB);
  std::memset(begin, 9, 32 * kMiB);
  ASSERT_TRUE(region->resize(kMiB + 100).ok());
  EXPECT_LE(resident_bytes(begin, 32 * kMiB), kMiB + 4096) << "shrinking gives pages back";
  EXPECT_EQ(begin[kMiB + 99], 9);
  ASSERT_TRUE(region->resize(2 * kMiB).ok());
  for (uint64_t i = kMiB + 100; i < 2 * kMiB; ++i) ASSERT_EQ(begin[i], 0) << "grown bytes are zero again, at " << i;
  EXPECT_EQ(region->resize(65 * kMiB).code(), Code::kInvalidArgument);
  EXPECT_EQ(region->span().bytes, 2 * kMiB);
  ASSERT_TRUE(region->resize(0).ok());
  ASSERT_TRUE(region->resize(64 * kMiB).ok());
}

// malloc() of twice the machine succeeds under overcommit, and the kernel kills later. What a Region promises is there
// before reserve() returns, at whatever size, and after every growth; what is not there is an error at once.
TEST(Traps, overcommit_lies) {
  HostDevice device;
  const auto own_bytes = [] {
    std::ifstream statm("/proc/self/statm");
    uint64_t all = 0, resident = 0;
    statm >> all >> resident;
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  };
  const uint64_t before = own_bytes();
  Region region = std::move(device.reserve(24 * kMiB, 64 * kMiB)).value();
  const char* begin = host_ptr<char>(region.span().data);
  EXPECT_EQ(resident_bytes(begin, 24 * kMiB), 24 * kMiB);
  EXPECT_GE(own_bytes(), before + 23 * kMiB) << "resident, not only mapped";
  EXPECT_LE(own_bytes(), before + 40 * kMiB) << "what is reserved for later costs nothing now";
  ASSERT_TRUE(region.resize(48 * kMiB).ok());
  EXPECT_EQ(resident_bytes(begin, 48 * kMiB), 48 * kMiB);
  const auto lie = device.reserve(device.memory_total_bytes() * 2);
  ASSERT_FALSE(lie.ok());
  EXPECT_EQ(lie.status().code(), Code::kResourceExhausted);
}

// Growing by "allocate the new, copy, free the old" needs both at once, which is what is not there when growing is
// wanted. A Region grows where it is: same address, same bytes, and never more resident than its new size.
TEST(Traps, grow_by_copy) {
  HostDevice device;
  Region region = std::move(device.reserve(16 * kMiB, 64 * kMiB)).value();
  char* begin = host_ptr<char>(region.span().data);
  for (uint64_t i = 0; i < 16 * kMiB; i += 4096) begin[i] = static_cast<char>(i / 4096 + 1);
  const auto peak_growth = [&](uint64_t bytes) {
    const auto peak = [] {
      std::ifstream status("/proc/self/status");
      for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * kKiB;
      }
      return 0ull;
    };
    std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts again from here
    const uint64_t before = peak();
    EXPECT_TRUE(region.resize(bytes).ok());
    return peak() - before;
  };
  const uint64_t grown = peak_growth(48 * kMiB);
  EXPECT_LE(grown, 32 * kMiB + 2 * kMiB) << "32 MiB more, and not 48 beside the old 16";
  EXPECT_EQ(host_ptr<char>(region.span().data), begin);
  for (uint64_t i = 0; i < 16 * kMiB; i += 4096) ASSERT_EQ(begin[i], static_cast<char>(i / 4096 + 1)) << i;
}

// Sanitizers turn mlock into nothing.
constexpr bool kMayLock = !kSanitized;

// Bytes that the kernel holds locked for this process.
uint64_t locked_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmLck:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * kKiB;
  }
  return 0;
}

TEST(HostDevice, LockedMemoryIsLockedAndGivenBackWhenItShrinks) {
  if (!kMayLock) GTEST_SKIP() << "a sanitizer build does not lock";
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  if (geteuid() != 0 && limit.rlim_cur < 4 * kMiB) GTEST_SKIP() << "may not lock 4 MiB here";
  HostDevice device({.lock = true});
  const uint64_t before = locked_bytes();
  auto region = device.reserve(2 * kMiB, 4 * kMiB);
  ASSERT_TRUE(region.ok()) << region.status().message();
  EXPECT_EQ(locked_bytes(), before + 2 * kMiB);
  ASSERT_TRUE(region->resize(3 * kMiB).ok());
  EXPECT_EQ(locked_bytes(), before + 3 * kMiB);
  char* begin = host_ptr<char>(region->span().data);
  begin[2 * kMiB] = 7;
  ASSERT_TRUE(region->resize(kMiB).ok());
  EXPECT_EQ(locked_bytes(), before + kMiB);
  EXPECT_LE(resident_bytes(begin, 4 * kMiB), kMiB) << "locked pages too go back to the system";
  ASSERT_TRUE(region->resize(3 * kMiB).ok());
  EXPECT_EQ(begin[2 * kMiB], 0);
  *region = Region();
  EXPECT_EQ(locked_bytes(), before);
}

// In a child that may lock 1 MiB and has no right to more: said with the limit and the way out.
TEST(HostDeviceDeath, ALockThatIsNotAllowedIsAnError) {
  if (!kMayLock) GTEST_SKIP() << "a sanitizer build does not lock";
  const auto try_to_lock = [] {
    const rlimit limit{kMiB, kMiB};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(2);
    HostDevice device({.lock = true});
    const auto region = device.reserve(3 * kMiB);
    std::fprintf(stderr, "%s\n", region.ok() ? "locked" : region.status().message().c_str());
    _exit(region.ok() || locked_bytes() != 0 ? 1 : 0);
  };
  EXPECT_EXIT(try_to_lock(), testing::ExitedWithCode(0),
              "--mlock: cannot lock 3.00 MiB of memory .*RLIMIT_MEMLOCK allows this process 1.00 MiB in all; raise it "
              ".*ulimit -l unlimited.*or leave --mlock out");
}

TEST(HostDevice, MoveLeavesOneOwner) {
  HostDevice device;
  Region a = std::move(device.reserve(kMiB)).value();
  const DevicePtr where = a.span().data;
  Region b = std::move(a);
  EXPECT_EQ(b.span().data, where);
  b = Region();
  EXPECT_TRUE(b.span().data.is_null());
}

TEST(HostDevice, CopiesAndFills) {
  HostDevice device;
  auto stream = device.make_stream();
  ASSERT_TRUE(stream.ok());
  Region region = std::move(device.reserve(4096)).value();
  const char text[] = "sixteen bytes ok";
  char back[16] = {};
  device.copy_to_device(**stream, region.span().data, text, 16);
  device.copy_within(**stream, region.span().data.plus(100), region.span().data, 16);
  device.copy_to_host(**stream, back, region.span().data.plus(100), 16);
  ASSERT_TRUE(device.synchronize(**stream).ok());
  EXPECT_EQ(std::memcmp(back, text, 16), 0);
  device.fill_zero(**stream, region.span().part(100, 16));
  EXPECT_EQ(host_ptr<char>(region.span().data)[100], 0);
  EXPECT_EQ(host_ptr<char>(region.span().data)[0], 's');
}

TEST(HostDevice, MemoryFiguresMakeSense) {
  HostDevice device;
  EXPECT_GT(device.memory_total_bytes(), 64 * kMiB);
  EXPECT_LE(device.memory_free_bytes(), device.memory_total_bytes());
}

TEST(DeviceSpan, PartOutsideIsOurBug) {
  const DeviceSpan span{DevicePtr(4096), 100};
  EXPECT_EQ(span.part(40, 60).data.address(), 4136u);
  EXPECT_DEATH(span.part(41, 60), "count");
  EXPECT_DEATH(span.part(~uint64_t{0}, 2), "offset");
}

}  // namespace
}  // namespace weir
