#include "http/pacer.h"

#include <gtest/gtest.h>

namespace weir::http {
namespace {

constexpr PaceRule kRule{.interval_us = 1000, .burst = 10, .ahead_us_max = 5'000'000};
constexpr int64_t kNow = 1'000'000'000;

TEST(PacerTest, ABurstAtOnceAndThenOneAnInterval) {
  Pacer pacer;
  for (int i = 0; i <= 10; ++i) EXPECT_EQ(pacer.book(kRule, kNow, 1), kNow) << i;
  for (int i = 1; i < 100; ++i) EXPECT_EQ(pacer.book(kRule, kNow, 1), kNow + 1000 * i);
}

TEST(PacerTest, RestGivesTheBurstBackAndNoMore) {
  Pacer pacer;
  for (int i = 0; i < 50; ++i) (void)pacer.book(kRule, kNow, 1);
  const int64_t later = kNow + 3'600'000'000;
  for (int i = 0; i <= 10; ++i) EXPECT_EQ(pacer.book(kRule, later, 1), later);
  EXPECT_GT(pacer.book(kRule, later, 1), later);
}

TEST(PacerTest, CostsAndCreditsCountAsPieces) {
  Pacer pacer;
  EXPECT_EQ(pacer.book(kRule, kNow, 11), kNow);
  EXPECT_EQ(pacer.book(kRule, kNow, 1), kNow + 1000);
  pacer.credit(kRule, 2);
  EXPECT_EQ(pacer.book(kRule, kNow, 1), kNow);
}

TEST(PacerTest, NothingIsBookedBeyondTheHorizon) {
  Pacer pacer;
  for (int i = 0; i < 100'000; ++i) EXPECT_LE(pacer.book(kRule, kNow, 1), kNow + kRule.ahead_us_max);
  EXPECT_EQ(pacer.book(kRule, kNow + 5'100'000, 1), kNow + 5'100'000) << "and what is booked is over then";
}

TEST(PacerTest, WithoutARateThereIsNoWait) {
  Pacer pacer;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(pacer.book({}, kNow, 5), kNow);
}

}  // namespace
}  // namespace weir::http
