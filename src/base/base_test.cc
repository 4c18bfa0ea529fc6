#include <gtest/gtest.h>

#include <thread>

#include "base/log.h"
#include "base/ring.h"
#include "base/status.h"
#include "base/units.h"

namespace weir {
namespace {

TEST(Units, ParseBytesTakesTheUsualSpellings) {
  EXPECT_EQ(parse_bytes("8GiB").value(), 8 * kGiB);
  EXPECT_EQ(parse_bytes("1.5 MiB").value(), kMiB + kMiB / 2);
  EXPECT_EQ(parse_bytes("8gb").value(), 8000000000u);
  EXPECT_EQ(parse_bytes("2g").value(), 2 * kGiB);
  EXPECT_EQ(parse_bytes("512").value(), 512u);
}

TEST(Units, ParseBytesRefusesEverythingElse) {
  for (const char* bad : {"", "GiB", "-1", "1e400", "nan", "inf", "12XB", "1KiBs", "99999999TiB"}) {
    EXPECT_FALSE(parse_bytes(bad).ok()) << bad;
  }
}

TEST(Units, FormatIsReadable) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_count(12), "12");
}

TEST(SpscRing, FullIsAnAnswer) {
  SpscRing<int> ring(4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.try_push(i));
  EXPECT_FALSE(ring.try_push(4));
  int got = -1;
  EXPECT_TRUE(ring.try_pop(&got));
  EXPECT_EQ(got, 0);
  EXPECT_TRUE(ring.try_push(4));
  EXPECT_EQ(ring.room(), 0u);
}

TEST(SpscRing, KeepsOrderAcrossThreads) {
  SpscRing<int> ring(8);
  constexpr int kCount = 100000;
  std::thread producer([&] {
    for (int i = 0; i < kCount;) {
      if (ring.try_push(i)) ++i;
    }
  });
  for (int want = 0; want < kCount;) {
    int got = -1;
    if (!ring.try_pop(&got)) continue;
    ASSERT_EQ(got, want);
    ++want;
  }
  producer.join();
}

TEST(BoundedInbox, RefusesWhenFullAndDrainsWithoutAllocating) {
  BoundedInbox<int> inbox(2);
  EXPECT_TRUE(inbox.try_push(1));
  EXPECT_TRUE(inbox.try_push(2));
  EXPECT_FALSE(inbox.try_push(3));
  std::vector<int> out;
  out.reserve(2);
  inbox.drain_into(&out);
  EXPECT_EQ(out, (std::vector<int>{1, 2}));
  EXPECT_TRUE(inbox.empty());
}

TEST(Result, MacrosCarryTheStatusUp) {
  const auto half = [](int n) -> Result<int> {
    if (n % 2) return invalid_argument("odd");
    return n / 2;
  };
  const auto quarter = [&](int n) -> Result<int> {
    WEIR_ASSIGN_OR_RETURN(const int h, half(n));
    return half(h);
  };
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).status().message(), "odd");
  EXPECT_EQ(parse_log_level("WARN").value(), LogLevel::kWarning);
  EXPECT_FALSE(parse_log_level("loud").ok());
}

}  // namespace
}  // namespace weir
