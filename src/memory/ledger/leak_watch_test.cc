#include "memory/ledger/leak_watch.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr Micros kMinute = 60'000'000;

// Six samples a minute. floor_at: bytes that nobody gives back, by minute; the load swings above it.
int suspicions(LeakWatch* watch, int minutes, int64_t (*floor_at)(int minute), Micros* now) {
  int count = 0;
  for (int minute = 0; minute < minutes; ++minute) {
    for (int i = 0; i < 6; ++i, *now += kMinute / 6) {
      const int64_t swing = (i * 37 + minute * 11) % 5 * 20 * kMiB;
      count += watch->observe(*now, floor_at(minute) + swing - swing * (i == 3)).has_value();
    }
  }
  return count;
}

TEST(LeakWatch, SteadyGrowthIsToldOncePerEpisode) {
  LeakWatch watch({.plan_bytes = 1024 * kMiB});
  Micros now = 5;
  EXPECT_EQ(suspicions(&watch, 5, [](int minute) { return minute * 4 * kMiB; }, &now), 0) << "not yet six rises";
  EXPECT_EQ(suspicions(&watch, 30, [](int minute) { return (minute + 5) * 4 * kMiB; }, &now), 1);
  EXPECT_EQ(suspicions(&watch, 10, [](int) { return 140 * kMiB; }, &now), 0) << "it stopped";
  EXPECT_EQ(suspicions(&watch, 30, [](int minute) { return (minute + 36) * 4 * kMiB; }, &now), 1) << "it began anew";
}

TEST(LeakWatch, WhatComesAndGoesIsNoLeak) {
  LeakWatch watch({.plan_bytes = 1024 * kMiB});
  Micros now = 0;
  EXPECT_EQ(suspicions(&watch, 200, [](int minute) { return minute % 5 * 30 * kMiB; }, &now), 0) << "saw-tooth of four rises";
  EXPECT_EQ(suspicions(&watch, 200, [](int) { return 300 * kMiB; }, &now), 0) << "high but flat";
  EXPECT_EQ(suspicions(&watch, 200, [](int minute) { return (200 - minute) * kMiB; }, &now), 0) << "falling";
  EXPECT_EQ(suspicions(&watch, 200, [](int minute) -> int64_t { return minute * 1000; }, &now), 0) << "noise";
}

TEST(LeakWatch, SmallRisesOfALargePlanAddUpBeforeTheyCount) {
  LeakWatch large({.plan_bytes = 100 * 1024 * kMiB});  // 1 % is 1 GiB
  Micros now = 0;
  EXPECT_EQ(suspicions(&large, 100, [](int minute) { return minute * 8 * kMiB; }, &now), 0) << "0.8 GiB so far";
  EXPECT_EQ(suspicions(&large, 60, [](int minute) { return (minute + 100) * 8 * kMiB; }, &now), 1);
}

TEST(LeakWatch, UnaccountedIsWhatPlanAndLedgerDoNotExplain) {
  HostFacts facts;
  EXPECT_FALSE(unaccounted_bytes(facts, 0, 0)) << "unknown is not zero";
  facts.rss_bytes = 1000;
  facts.rss_file_bytes = 300;
  facts.rss_anon_bytes = 700;
  EXPECT_EQ(unaccounted_bytes(facts, 500, 120), 80);
  EXPECT_EQ(unaccounted_bytes(facts, 900, 0), -200);
}

TEST(LeakWatch, TheSuspicionCarriesItsFigures) {
  LeakWatch watch({.window_us = 10, .windows = 2, .bytes_min = 100, .plan_bytes = 0, .noise_bytes = 1});
  std::optional<LeakSuspicion> got;
  for (Micros now = 0; !got && now < 100; now += 10) got = watch.observe(now, -500 + now * 30);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->from_bytes, -500);
  EXPECT_EQ(got->to_bytes, 100);
  EXPECT_EQ(got->over_us, 20);
  EXPECT_NE(got->text().find("600 B"), std::string::npos) << got->text();
}

}  // namespace
}  // namespace weir
