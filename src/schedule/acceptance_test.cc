#include "schedule/acceptance.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Acceptance, DraftsAreAsLongAsTheyPay) {
  Acceptance fresh;
  EXPECT_EQ(fresh.length(0, 0.5, 8), 1) << "a half chance at half a token";
  EXPECT_EQ(fresh.length(0, 0.2, 8), 2) << "1/2, 1/4, and 1/8 is too little";
  EXPECT_EQ(fresh.length(0, 0.05, 8), 4);
  EXPECT_EQ(fresh.length(0, 0.05, 3), 3);
  EXPECT_EQ(fresh.length(0, 0.05, 0), 0);
  for (int i = 0; i < 20; ++i) fresh.note(4, 4, 0.2);
  EXPECT_GT(fresh.rate(), 0.95f);
  EXPECT_EQ(fresh.length(80, 0.2, 8), 8) << "always right";
  for (int i = 0; i < 40; ++i) fresh.note(8, 1, 0.2);
  EXPECT_EQ(fresh.length(400, 0.2, 8), 2) << "one in two";
}

TEST(Acceptance, WhereItDoesNotPayItStopsAndTriesAgainLater) {
  Acceptance bad;
  int32_t output = 0, last_stop = 0;
  std::vector<int32_t> pauses;
  int drafted = 0;
  for (; output < 4000; ++output) {
    const int count = bad.length(output, 0.2, 8);
    if (bad.take_switched_off()) last_stop = output;
    if (count == 0) continue;
    if (last_stop > 0) pauses.push_back(output - last_stop);
    last_stop = 0;
    bad.note(count, 0, 0.2);
    drafted += count;
  }
  ASSERT_GE(pauses.size(), 6u);
  EXPECT_EQ(std::vector<int32_t>(pauses.begin(), pauses.begin() + 6), (std::vector<int32_t>{32, 64, 128, 256, 512, 512}));
  EXPECT_LT(drafted * 0.2, 4000 * 0.02) << "what it tries in vain costs less than 2 %";
}

TEST(Acceptance, ASpellThatPaidIsFollowedByAShortPause) {
  Acceptance turns;
  int32_t output = 0;
  const auto until_stop = [&](int accepted_first) {
    for (;; ++output) {
      const int count = turns.length(output, 0.3, 8);
      if (turns.take_switched_off()) return output;
      if (count > 0) turns.note(count, accepted_first > 0 ? count : 0, 0.3);
      accepted_first -= count > 0;
    }
  };
  const auto pause_after = [&](int32_t stopped) {
    while (turns.length(output, 0.3, 8) == 0) ++output;
    return output - stopped;
  };
  EXPECT_EQ(pause_after(until_stop(0)), 32);
  EXPECT_EQ(pause_after(until_stop(0)), 64);
  EXPECT_EQ(pause_after(until_stop(40)), 32) << "that one was worth it";
}

// With many sequences a row costs what a token costs. That is no sequence's fault: it goes on when the price falls.
TEST(Acceptance, APriceThatIsTooHighPausesNobodyWhoTriedNothing) {
  Acceptance one;
  for (int32_t output = 0; output < 10; ++output) EXPECT_EQ(one.length(output, 0.9, 8), 0);
  EXPECT_FALSE(one.take_switched_off());
  EXPECT_GT(one.length(10, 0.2, 8), 0);
}

}  // namespace
}  // namespace weir
