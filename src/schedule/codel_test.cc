#include "schedule/codel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>
#include <vector>

namespace weir {
namespace {

constexpr Micros kSecond = 1'000'000;

TEST(Codel, AShortQueueExpiresNobody) {
  Codel codel(2 * kSecond);
  for (Micros now = kSecond; now < 100 * kSecond; now += kSecond / 10) {
    EXPECT_FALSE(codel.expires(2 * kSecond - 1, true, now));
  }
  EXPECT_EQ(codel.expired(), 0u);
}

TEST(Codel, ABurstThatDrainsWithinTheIntervalExpiresNobody) {
  Codel codel(2 * kSecond);
  for (Micros at = 0; at < 2 * kSecond; at += kSecond / 10)
    EXPECT_FALSE(codel.expires(3 * kSecond, true, 10 * kSecond + at));
  EXPECT_FALSE(codel.expires(kSecond, true, 12 * kSecond)) << "it has drained";
  EXPECT_FALSE(codel.expires(3 * kSecond, true, 12 * kSecond + 1)) << "and the interval begins anew";
}

TEST(Codel, AStandingQueueExpiresEverFaster) {
  Codel codel(kSecond);
  std::vector<Micros> when;
  for (Micros now = 0; now < 10 * kSecond; now += 10'000) {
    if (codel.expires(5 * kSecond, true, now)) when.push_back(now);
  }
  ASSERT_GT(when.size(), 10u);
  EXPECT_EQ(when[0], kSecond) << "after an interval above the target";
  EXPECT_EQ(when[1], 2 * kSecond) << "interval / sqrt(1)";
  EXPECT_NEAR(static_cast<double>(when[2] - when[1]), 1e6 / std::sqrt(2.0), 20'000);
  EXPECT_NEAR(static_cast<double>(when[3] - when[2]), 1e6 / std::sqrt(3.0), 20'000);
  EXPECT_TRUE(codel.standing());
  EXPECT_FALSE(codel.expires(kSecond / 2, true, 10 * kSecond));
  EXPECT_FALSE(codel.standing()) << "one that waited less ends it";
}

TEST(Codel, TheLastOneAndAQueueThatWasEmptyNeverExpire) {
  Codel codel(kSecond);
  for (Micros now = 0; now < 10 * kSecond; now += kSecond / 2) EXPECT_FALSE(codel.expires(5 * kSecond, false, now));
  for (Micros now = 10 * kSecond; now < 20 * kSecond; now += kSecond / 2) {
    EXPECT_FALSE(codel.expires(5 * kSecond, true, now));
    codel.queue_empty();
  }
}

TEST(Codel, ClocksThatJumpAreHarmless) {
  Codel codel(kSecond);
  EXPECT_FALSE(codel.expires(5 * kSecond, true, 100 * kSecond));
  EXPECT_FALSE(codel.expires(5 * kSecond, true, kSecond)) << "back: time stands still";
  EXPECT_FALSE(codel.expires(5 * kSecond, true, 100 * kSecond + kSecond / 2));
  EXPECT_TRUE(codel.expires(5 * kSecond, true, 101 * kSecond));
  EXPECT_FALSE(codel.expires(5 * kSecond, true, 0));
  EXPECT_FALSE(codel.expires(-5 * kSecond, true, 200 * kSecond)) << "a wait below zero is none";
}

TEST(Codel, ATargetOfZeroTurnsItOff) {
  Codel codel(0);
  for (Micros now = 0; now < 100 * kSecond; now += kSecond) {
    EXPECT_FALSE(codel.expires(std::numeric_limits<Micros>::max(), true, now));
  }
}

// A plant: a server that starts one a second and arrivals at twice that. Without expiry the wait grows without
// bound.
TEST(Codel, ItBoundsTheWaitOfAQueueThatIsOfferedTwiceWhatItCanServe) {
  Codel codel(3 * kSecond);
  std::deque<Micros> queue;
  Micros last_wait = 0;
  int served = 0;
  for (Micros now = 0; now < 600 * kSecond; now += kSecond / 2) {
    queue.push_back(now);
    if (now % kSecond != 0) continue;
    while (!queue.empty()) {
      const Micros arrival = queue.front();
      queue.pop_front();
      if (codel.expires(now - arrival, !queue.empty(), now)) continue;
      last_wait = now - arrival;
      ++served;
      break;
    }
  }
  EXPECT_EQ(served, 600) << "no start is lost to it";
  EXPECT_LT(last_wait, 60 * kSecond) << "after 300 s of backlog without it";
  EXPECT_GT(codel.expired(), 200u);
}

}  // namespace
}  // namespace weir
