#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <vector>

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
