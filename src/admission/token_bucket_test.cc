#include "admission/token_bucket.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr Micros kSecond = 1'000'000;

TokenBucket bucket_of(int64_t rate, Micros now = kSecond) {
  TokenBucket bucket;
  bucket.set_rate(rate, now);
  return bucket;
}

TEST(TokenBucket, WithoutARateItIsNoLimit) {
  TokenBucket bucket;
  bucket.settle(kSecond);
  bucket.take(1'000'000);
  EXPECT_FALSE(bucket.limited());
  EXPECT_TRUE(bucket.has_tokens());
  EXPECT_EQ(bucket.until_tokens_us(kSecond), 0);
  EXPECT_EQ(bucket.until_full_us(kSecond), 0);
}

TEST(TokenBucket, BeginsFullGoesIntoDebtAndFillsEvenly) {
  TokenBucket bucket = bucket_of(600);  // ten a second
  EXPECT_EQ(bucket.tokens(), 600);
  bucket.take(650);
  EXPECT_EQ(bucket.tokens(), -50);
  EXPECT_FALSE(bucket.has_tokens());
  EXPECT_EQ(bucket.until_tokens_us(kSecond), 5 * kSecond + 1) << "at zero there is nothing yet";
  EXPECT_EQ(bucket.until_full_us(kSecond), 65 * kSecond);
  bucket.settle(6 * kSecond);
  EXPECT_FALSE(bucket.has_tokens());
  bucket.settle(6 * kSecond + 1);
  EXPECT_TRUE(bucket.has_tokens()) << "the wait it told was the real one";
  EXPECT_EQ(bucket.tokens(), 0) << "a part of one";
  bucket.settle(7 * kSecond);
  EXPECT_EQ(bucket.tokens(), 10);
  bucket.settle(1000 * kSecond);
  EXPECT_EQ(bucket.tokens(), 600) << "a minute's worth and no more";
  bucket.put_back(5);
  EXPECT_EQ(bucket.tokens(), 600);
}

TEST(TokenBucket, ManySmallStepsMakeWhatOneLargeMakes) {
  TokenBucket bucket = bucket_of(7);
  bucket.take(7);
  for (Micros now = kSecond; now < 31 * kSecond; now += 333) bucket.settle(now);
  bucket.settle(31 * kSecond);
  EXPECT_EQ(bucket.tokens(), 3) << "3.5 in half a minute";
  bucket.settle(61 * kSecond - 1);
  EXPECT_EQ(bucket.tokens(), 6);
  bucket.settle(61 * kSecond);
  EXPECT_EQ(bucket.tokens(), 7);
}

TEST(TokenBucket, ClocksThatJumpMintNothing) {
  TokenBucket bucket = bucket_of(60, 100 * kSecond);
  bucket.take(60);
  for (int i = 0; i < 100; ++i) {
    bucket.settle(10 * kSecond);   // back
    bucket.settle(100 * kSecond);  // and forth
  }
  EXPECT_EQ(bucket.tokens(), 0);
  EXPECT_EQ(bucket.until_tokens_us(90 * kSecond), 10 * kSecond + 1) << "first the lost time must pass again";
  bucket.settle(101 * kSecond);
  EXPECT_EQ(bucket.tokens(), 1);
  bucket.settle(std::numeric_limits<Micros>::max());
  EXPECT_EQ(bucket.tokens(), 60) << "one bucket at most, whatever the clock says";
}

TEST(TokenBucket, ANewRateMakesNoTokensAndForgivesNoDebt) {
  TokenBucket bucket = bucket_of(60);
  bucket.set_rate(600, kSecond);
  EXPECT_EQ(bucket.tokens(), 60);
  bucket.set_rate(6, kSecond);
  EXPECT_EQ(bucket.tokens(), 6);
  bucket.take(106);
  bucket.set_rate(600, kSecond);
  EXPECT_EQ(bucket.tokens(), -100);
  bucket.settle(11 * kSecond + 1);
  EXPECT_TRUE(bucket.has_tokens());
}

TEST(TokenBucket, TheLargestNumbersDoNotOverflow) {
  TokenBucket bucket = bucket_of(1'000'000'000);
  for (int i = 0; i < 100; ++i) bucket.take(1'000'000'000);
  EXPECT_EQ(bucket.tokens(), -10'000'000'000) << "debt ends somewhere";
  bucket.settle(std::numeric_limits<Micros>::max());
  EXPECT_EQ(bucket.tokens(), 1'000'000'000);
}

}  // namespace
}  // namespace weir
