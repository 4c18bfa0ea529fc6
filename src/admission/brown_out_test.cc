#include "admission/brown_out.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace weir {
namespace {

constexpr Micros kBeat = 250'000;

struct Ladder : BrownOutActions {
  BrownOut brown_out;
  Micros now = 0;
  std::vector<std::string> calls;
  std::array<bool, kRungs> active{};

  void note(Rung rung, bool on) {
    EXPECT_NE(active[static_cast<size_t>(rung)], on) << "switched twice the same way";
    active[static_cast<size_t>(rung)] = on;
    calls.push_back((on ? "+" : "-") + std::string(rung_name(rung)));
  }
  void smaller_chunks(bool on) override { note(Rung::kSmallerChunks, on); }
  void clamp_background(bool on) override { note(Rung::kClampBackground, on); }
  void evict_caches(bool on) override { note(Rung::kEvictCaches, on); }
  void queue(bool on) override { note(Rung::kQueue, on); }
  void refuse(bool on) override { note(Rung::kRefuse, on); }

  BrownOutReading at(double level) const {
    return {.start_p90_us = static_cast<Micros>(level * 1e6), .start_limit_us = 1'000'000};
  }
  void feed(double level, Micros for_us) {
    for (const Micros end = now + for_us; now < end;) {
      now += kBeat;
      carry_out(brown_out.feed(at(level), now), this);
      for (size_t i = 1; i < kRungs; ++i) EXPECT_EQ(active[i], i <= static_cast<size_t>(brown_out.rung()));
    }
  }
};

TEST(BrownOut, ClimbsInOrderAndComesBackTheSameWay) {
  Ladder ladder;
  ladder.feed(2.0, 5'000'000);
  EXPECT_EQ(ladder.calls, (std::vector<std::string>{"+smaller_chunks", "+clamp_background", "+evict_caches",
                                                    "+queue", "+refuse"}));
  ladder.calls.clear();
  ladder.feed(0, 20'000'000);
  EXPECT_EQ(ladder.calls, (std::vector<std::string>{"-refuse", "-queue", "-evict_caches", "-clamp_background",
                                                    "-smaller_chunks"}));
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kCalm) << "every rung is reversible";
}

TEST(BrownOut, StopsAtTheRungThatTheLevelAsksFor) {
  for (const auto& [level, rung] : {std::pair{0.49, Rung::kCalm},
                                    {0.5, Rung::kSmallerChunks},
                                    {0.7, Rung::kClampBackground},
                                    {0.85, Rung::kEvictCaches},
                                    {1.09, Rung::kQueue},
                                    {1.1, Rung::kRefuse}}) {
    Ladder ladder;
    ladder.feed(level, 30'000'000);
    EXPECT_EQ(ladder.brown_out.rung(), rung) << level;
  }
}

TEST(BrownOut, EachRungIsGivenTimeToWork) {
  Ladder ladder;
  ladder.feed(2.0, kBeat);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kSmallerChunks);
  ladder.feed(2.0, kBeat);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kSmallerChunks);
  ladder.feed(2.0, kBeat);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kClampBackground);
}

TEST(BrownOut, ASwingAboutAMarkMovesNothing) {
  Ladder ladder;
  ladder.feed(0.7, 3'000'000);
  const size_t calls = ladder.calls.size();
  std::mt19937_64 random(5);
  for (int i = 0; i < 1'000; ++i) ladder.feed(std::uniform_real_distribution<double>(0.55, 0.79)(random), kBeat);
  EXPECT_EQ(ladder.calls.size(), calls);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kClampBackground);
}

TEST(BrownOut, TheDoorOpensAsSoonAsItMay) {
  Ladder ladder;
  ladder.feed(2.0, 5'000'000);
  ASSERT_EQ(ladder.brown_out.rung(), Rung::kRefuse);
  ladder.feed(1.0, 2'000'000);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kRefuse) << "within the gap";
  ladder.feed(0.94, kBeat);
  EXPECT_EQ(ladder.brown_out.rung(), Rung::kQueue);
}

TEST(BrownOut, AFullQueueAndPressureAloneNeverRefuse) {
  BrownOut brown_out;
  for (Micros now = 0; now < 60'000'000; now += kBeat) {
    brown_out.feed({.queue_fill = 1, .pressure = 50}, now);
    EXPECT_LT(brown_out.rung(), Rung::kRefuse);
  }
  EXPECT_EQ(brown_out.rung(), Rung::kQueue);
}

TEST(BrownOut, NumbersThatAreNoneAndClocksThatJumpAreHarmless) {
  BrownOut brown_out;
  brown_out.feed({.start_p90_us = -5, .start_limit_us = 0, .queue_fill = std::nan(""), .pressure = -1}, 1'000'000);
  EXPECT_EQ(brown_out.rung(), Rung::kCalm);
  EXPECT_EQ(brown_out.level(), 0);
  brown_out.feed({.start_p90_us = 5'000'000, .start_limit_us = 1'000'000}, 10'000'000);
  EXPECT_EQ(brown_out.rung(), Rung::kSmallerChunks);
  brown_out.feed({.start_p90_us = 5'000'000, .start_limit_us = 1'000'000}, 0);
  EXPECT_EQ(brown_out.rung(), Rung::kSmallerChunks) << "back: time stands still";
  brown_out.feed({}, 10'000'000 + 2'999'999);
  EXPECT_EQ(brown_out.rung(), Rung::kSmallerChunks);
  brown_out.feed({}, 13'000'000);
  EXPECT_EQ(brown_out.rung(), Rung::kCalm);
}

}  // namespace
}  // namespace weir
