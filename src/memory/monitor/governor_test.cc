#include "memory/monitor/governor.h"
#include "memory/monitor/recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Micros kPoll = 250'000;

PressureReading limit(double level) {
  return {.limit_level = level, .sign_level = 0, .room_bytes = 1, .source = "test"};
}
PressureReading sign(double level) {
  return {.limit_level = 0, .sign_level = level, .room_bytes = 1, .source = "test"};
}

// A governor that is fed every 250 ms, with what it asked for.
struct Bench {
  Governor governor;
  Recorder done;
  Micros now = 1'000'000;
  int moves = 0;

  Stage feed(const PressureReading& reading) {
    now += kPoll;
    const GovernorStep step = governor.feed(reading, now);
    EXPECT_EQ(step.to, governor.stage());
    moves += step.from != step.to;
    carry_out(step, &done);
    return step.to;
  }
  Stage feed(const PressureReading& reading, int times) {
    for (int i = 1; i < times; ++i) feed(reading);
    return feed(reading);
  }
};

TEST(Governor, ARampEntersEachStageInOrderAndLeavesInTheOppositeOne) {
  Bench bench;
  std::vector<Stage> seen = {Stage::kCalm};
  const auto note = [&](Stage stage) {
    if (stage != seen.back()) seen.push_back(stage);
  };
  for (int percent = 0; percent <= 94; ++percent) note(bench.feed(limit(percent / 100.0), 4));
  EXPECT_THAT(seen, ElementsAre(Stage::kCalm, Stage::kStopGrowing, Stage::kDropCaches, Stage::kShrinkWork,
                                Stage::kRefuseNew, Stage::kCancelNewest));
  seen = {Stage::kCancelNewest};
  for (int percent = 94; percent >= 0; --percent) note(bench.feed(limit(percent / 100.0), 10));
  EXPECT_THAT(seen, ElementsAre(Stage::kCancelNewest, Stage::kRefuseNew, Stage::kShrinkWork, Stage::kDropCaches,
                                Stage::kStopGrowing, Stage::kCalm));
  EXPECT_EQ(bench.moves, 10) << "each stage once up and once down";
}

TEST(Governor, TheMarksAreWhereTheyAreSaidToBe) {
  const struct {
    double level;
    Stage stage;
  } cases[] = {{0.49, Stage::kCalm},      {0.5, Stage::kStopGrowing},  {0.59, Stage::kStopGrowing},
               {0.6, Stage::kDropCaches}, {0.7, Stage::kShrinkWork},   {0.8, Stage::kRefuseNew},
               {0.89, Stage::kRefuseNew}, {0.9, Stage::kCancelNewest}, {1.0, Stage::kCancelNewest}};
  for (const auto& one : cases) {
    Bench bench;
    EXPECT_EQ(bench.feed(limit(one.level), 40), one.stage) << one.level;
  }
}

TEST(Governor, ActionsFollowTheStages) {
  Bench bench;
  bench.feed(limit(0.55));
  EXPECT_THAT(bench.done.take(), ElementsAre("stop_growing"));
  bench.feed(limit(0.65), 2);
  EXPECT_THAT(bench.done.take(), ElementsAre("drop"));
  bench.feed(limit(0.65), 8);
  EXPECT_THAT(bench.done.take(), ElementsAre("drop", "drop")) << "again every second";
  bench.feed(limit(0.75));
  EXPECT_THAT(bench.done.take(), ElementsAre("shrink"));
  bench.feed(limit(0.85), 3);
  EXPECT_THAT(bench.done.take(), ElementsAre("refuse", "drop"));
  bench.feed(limit(0.92));
  EXPECT_THAT(bench.done.take(), ElementsAre("cancel"));
  bench.feed(limit(0.5), 8);
  EXPECT_THAT(bench.done.take(), ElementsAre("drop", "drop")) << "nobody is cancelled once the pressure falls";
  bench.feed(limit(0), 9);
  EXPECT_THAT(bench.done.take(), ElementsAre("drop", "drop", "admit"));
  bench.feed(limit(0), 32);
  EXPECT_THAT(bench.done.take(), ElementsAre("drop", "drop", "widen", "drop", "drop", "grow"));
  EXPECT_EQ(bench.governor.stage(), Stage::kCalm);
}

TEST(Governor, ASpikeToNextToNothingJumps) {
  Bench bench;
  EXPECT_EQ(bench.feed(limit(0.97)), Stage::kCancelNewest);
  EXPECT_THAT(bench.done.take(), ElementsAre("stop_growing", "drop", "shrink", "refuse", "cancel"));
  Bench slower;
  EXPECT_EQ(slower.feed(limit(0.94)), Stage::kStopGrowing) << "a tight machine gets the measures one by one";
}

TEST(Governor, OneMoreIsCancelledEachPeriodWhileThePressureLasts) {
  Bench bench;
  bench.feed(limit(1.0));
  bench.done.take();
  bench.feed(limit(1.0), 16);
  EXPECT_EQ(std::count(bench.done.calls.begin(), bench.done.calls.end(), "cancel"), 4);
  bench.done.take();
  bench.feed(limit(0.85), 16);
  EXPECT_EQ(std::count(bench.done.calls.begin(), bench.done.calls.end(), "cancel"), 0);
}

TEST(Governor, ASpikeOfOneReadingIsForgottenStageByStage) {
  Bench bench;
  bench.feed(limit(1.0));
  int turns = 0;
  while (bench.governor.stage() != Stage::kCalm && turns < 1000) {
    bench.feed(limit(0));
    ++turns;
  }
  EXPECT_EQ(turns, 40) << "five stages of two seconds";
}

// Swings about each mark, fast and slow, by less than the distance of enter and leave marks.
TEST(Governor, ASignalThatSwingsAboutAMarkMovesNothing) {
  for (size_t mark = 1; mark < kStages; ++mark) {
    for (const int half_period : {1, 3, 8, 40}) {
      const double enter = GovernorOptions{}.enter[mark];
      Bench bench;
      bench.feed(limit(enter), 40);
      ASSERT_EQ(bench.governor.stage(), static_cast<Stage>(mark));
      bench.moves = 0;
      for (int i = 0; i < 400; ++i) bench.feed(limit(enter + ((i / half_period) % 2 ? 0.04 : -0.12)));
      EXPECT_EQ(bench.moves, 0) << "mark " << mark << ", half period " << half_period;
    }
  }
}

// Swings from calm to tight faster than the quiet time: it stays up.
TEST(Governor, AWildSignalDoesNotFlap) {
  Bench bench;
  bench.feed(limit(0.85), 20);
  bench.moves = 0;
  for (int i = 0; i < 400; ++i) bench.feed(limit((i / 4) % 2 ? 0.85 : 0.0));
  EXPECT_EQ(bench.moves, 0);
  EXPECT_EQ(bench.governor.stage(), Stage::kRefuseNew);
}

// Whatever comes: never faster than the dwell times allow, downwards by one, and no cancel without a near limit.
TEST(Governor, NoTraceBreaksItsRules) {
  const GovernorOptions options;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    Governor governor(options);
    Micros now = 0, moved = -options.quiet_us, cancelled = -options.period_us;
    for (int i = 0; i < 500; ++i) {
      now += static_cast<Micros>(random() % 400'000);
      const PressureReading reading = {.limit_level = (random() % 101) / 100.0,
                                       .sign_level = (random() % 101) / 100.0,
                                       .room_bytes = {},
                                       .source = ""};
      const GovernorStep step = governor.feed(reading, now);
      if (step.to > step.from && reading.limit_level < options.jump_level) {
        ASSERT_EQ(static_cast<int>(step.to), static_cast<int>(step.from) + 1) << "seed " << seed << " turn " << i;
        ASSERT_TRUE(step.from == Stage::kCalm || now - moved >= options.rise_us)
            << "seed " << seed << " turn " << i;
      }
      if (step.to < step.from) {
        ASSERT_EQ(static_cast<int>(step.to), static_cast<int>(step.from) - 1) << "seed " << seed << " turn " << i;
        ASSERT_GE(now - moved, options.quiet_us) << "seed " << seed << " turn " << i;
      }
      if (step.from != step.to) moved = now;
      if (step.cancel_newest) {
        ASSERT_GE(reading.limit_level, options.enter[5]) << "seed " << seed << " turn " << i;
        ASSERT_GE(now - cancelled, options.period_us) << "seed " << seed << " turn " << i;
        cancelled = now;
      }
      ASSERT_TRUE(!step.drop_caches || step.to >= Stage::kDropCaches);
    }
  }
}

TEST(Governor, StallsAloneNeverRefuse) {
  Bench bench;
  EXPECT_EQ(bench.feed(sign(1.0), 100), Stage::kShrinkWork);
  EXPECT_EQ(bench.feed({.limit_level = 0.85, .sign_level = 1.0, .room_bytes = 1, .source = ""}), Stage::kRefuseNew);
  EXPECT_EQ(bench.feed(sign(1.0), 100), Stage::kShrinkWork) << "and do not keep the door closed";
  bench.done.take();
  bench.feed(limit(0), 40);
  EXPECT_EQ(bench.governor.stage(), Stage::kCalm);
}

TEST(Governor, AClockThatGoesBackStandsStill) {
  Governor governor;
  EXPECT_EQ(governor.feed(limit(0.55), 10'000'000).to, Stage::kStopGrowing);
  EXPECT_EQ(governor.feed(limit(0), 5'000'000).to, Stage::kStopGrowing);
  EXPECT_EQ(governor.feed(limit(0), 11'999'999).to, Stage::kStopGrowing);
  EXPECT_EQ(governor.feed(limit(0), 12'000'000).to, Stage::kCalm);
}

TEST(Governor, CalmAsksForNothing) {
  Bench bench;
  bench.feed(limit(0.49), 100);
  EXPECT_THAT(bench.done.calls, IsEmpty());
}

}  // namespace
}  // namespace weir
