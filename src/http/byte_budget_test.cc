// The shares of a ByteBudget: how much one client gets, how much the second, what is left for a newcomer.
#include "http/byte_budget.h"

#include <gtest/gtest.h>

#include "http/byte_charge.h"

namespace weir::http {
namespace {

// As much as the share is given, in pieces of `step`.
size_t take_all(ByteBudget* budget, ByteShare share, size_t step, bool small = false) {
  size_t taken = 0;
  while (budget->try_take(step, share, small)) taken += step;
  return taken;
}

TEST(ByteBudgetTest, OneShareGetsThreeQuartersAndEveryNewcomerFindsRoom) {
  ByteBudget budget(1'000'000);
  const size_t first = take_all(&budget, 1, 1000);
  EXPECT_EQ(first, 750'000u);
  size_t all = first;
  for (ByteShare share = 2; share < 7; ++share) {
    const size_t more = take_all(&budget, share, 100);
    EXPECT_GT(more, 0u) << share;
    all += more;
    EXPECT_EQ(budget.used_bytes(), all);
    EXPECT_LE(all, 1'000'000u);
  }
  EXPECT_FALSE(budget.try_take(1000, 1, false)) << "who has much gets no more";
  budget.give(700'000, 1);
  EXPECT_TRUE(budget.try_take(1000, 1, false));
}

TEST(ByteBudgetTest, SmallTakersHaveAReserve) {
  ByteBudget budget(1'000'000, 100'000);
  for (ByteShare share = 1; share <= 20; ++share) (void)take_all(&budget, share, 1000);
  EXPECT_LE(budget.used_bytes(), 900'000u);
  EXPECT_TRUE(budget.try_take(10'000, 21, true));
  EXPECT_FALSE(budget.would_fit(900'000, 22));
}

TEST(ByteBudgetTest, AChargeIsSmallByAllThatItHolds) {
  const auto budget = std::make_shared<ByteBudget>(400'000, 200'000);
  ByteCharge large(nullptr, ByteUse::kBody, budget, 1), small(nullptr, ByteUse::kBody, budget, 2);
  EXPECT_EQ(large.try_add(190'000), Granted::kYes);
  EXPECT_EQ(large.try_add(15'000), Granted::kBudgetFull) << "the reserve is not for its rest";
  EXPECT_EQ(small.try_add(15'000), Granted::kYes);
  EXPECT_EQ(small.try_add(15'000), Granted::kBudgetFull);
  large.release();
  EXPECT_EQ(budget->used_bytes(), 15'000u);
}

TEST(ByteBudgetTest, PeersFallIntoBinsOfTheirOwn) {
  EXPECT_EQ(share_of_peer("10.0.0.1"), share_of_peer("10.0.0.1"));
  EXPECT_GE(share_of_peer("10.0.0.1"), kGroupsMax);
  EXPECT_LT(share_of_peer("::1"), kByteShares);
  EXPECT_EQ(share_of_group(7), 7);
}

}  // namespace
}  // namespace weir::http
