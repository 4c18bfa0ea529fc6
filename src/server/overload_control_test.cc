#include "server/overload_control.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"

namespace weir {
namespace {

constexpr Micros kBeat = 250'000;
constexpr FrontDoorOptions kDoor{
    .running_max = 16, .queued_max = 32, .queued_tokens_max = 10'000, .session_tokens = 64, .pool_tokens = 1'000};

struct OverloadTest : testing::Test {
  Gateway gateway{48, 16, 1, 8};
  FrontDoor door{kDoor, &gateway};
  Micros now = 1'000'000;

  OverloadTest() {
    set_log_level(LogLevel::kError);
    door.set_ready();
  }
  ~OverloadTest() override { set_log_level(LogLevel::kInfo); }

  OverloadOptions options(AdaptiveMode mode) const {
    return {.adaptive = mode, .tpot_slo_us = 50'000, .queue_timeout_us = 60'000'000, .places = 16, .step_tokens_max = 512};
  }
  // The first turn begins a period.
  void begin(OverloadControl* control) { control->turn(now); }
  // A second in which steps take so long each, in beats.
  void second(OverloadControl* control, Micros step_us) {
    for (int i = 0; i < 4; ++i) {
      now += kBeat;
      const Micros steps = std::max<Micros>(kBeat / step_us, 1);
      gateway.load().steps += static_cast<uint64_t>(steps);
      gateway.load().step_us_total += steps * step_us;
      control->turn(now);
    }
  }
  void waiting(Micros start_p90) {
    gateway.load().running = 16;
    gateway.load().waiting = 4;
    gateway.load().start_in_us_p50[0] = start_p90 / 2;
    gateway.load().start_in_us_p90[0] = start_p90;
  }
};

TEST_F(OverloadTest, TheAdaptiveLimitActsOnEngineAndDoor) {
  OverloadControl control(options(AdaptiveMode::kOn), &gateway, &door);
  begin(&control);
  waiting(0);
  second(&control, 40'000);
  EXPECT_EQ(gateway.controls().adaptive_limit.load(), 16);
  second(&control, 100'000);
  const int limit = gateway.controls().adaptive_limit.load();
  EXPECT_EQ(limit, 8) << "twice the target: at most half in the first period";
  const OverloadNow state = control.now();
  EXPECT_EQ(state.adaptive, "on");
  EXPECT_EQ(state.limit, 8);
  EXPECT_EQ(state.limit_max, 16);
  EXPECT_EQ(state.limit_min, 2);
  EXPECT_NEAR(state.signal, 2, 0.01);
  EXPECT_EQ(state.changes[static_cast<size_t>(LimitReason::kOverTarget)], 1u);
  ASSERT_EQ(state.last_changes.size(), 1u);
  EXPECT_EQ(state.last_changes[0].from, 16);
  EXPECT_EQ(state.last_changes[0].to, 8);
  std::vector<Place> held;
  for (int i = 0; i < 8 + 32; ++i) {
    auto places = door.admit({.prompt_tokens = {1}});
    ASSERT_TRUE(places.ok()) << i;
    held.push_back(std::move(places->front()));
  }
  EXPECT_EQ(door.admit({.prompt_tokens = {1}}).status().reason(), "queue_full") << "the door counts with eight places";
}

TEST_F(OverloadTest, ShadowComputesAndReportsWithoutActing) {
  OverloadControl control(options(AdaptiveMode::kShadow), &gateway, &door);
  begin(&control);
  waiting(0);
  second(&control, 40'000);
  second(&control, 100'000);
  EXPECT_EQ(control.now().limit, 8);
  EXPECT_EQ(control.now().adaptive, "shadow");
  EXPECT_EQ(control.now().last_changes.size(), 1u);
  EXPECT_EQ(gateway.controls().adaptive_limit.load(), 0);
}

TEST_F(OverloadTest, OffMovesNothingAndFollowsTheOperatorsLimit) {
  OverloadControl control(options(AdaptiveMode::kOff), &gateway, &door);
  begin(&control);
  waiting(0);
  second(&control, 100'000);
  second(&control, 100'000);
  EXPECT_EQ(control.now().limit, 16);
  EXPECT_EQ(gateway.controls().adaptive_limit.load(), 0);
  FrontDoorOptions smaller = kDoor;
  smaller.running_max = 10;
  door.set_options(smaller);
  second(&control, 100'000);
  EXPECT_EQ(control.now().limit_max, 10);
  EXPECT_EQ(control.now().limit, 10);
}

TEST_F(OverloadTest, WithoutATargetTheFastestStepsAreTheMeasure) {
  OverloadOptions without = options(AdaptiveMode::kOn);
  without.tpot_slo_us = 0;
  OverloadControl control(without, &gateway, &door);
  begin(&control);
  waiting(0);
  second(&control, 10'000);
  second(&control, 10'000);
  second(&control, 10'000);
  EXPECT_NEAR(control.now().signal, 0.25, 0.01);
  second(&control, 60'000);
  EXPECT_NEAR(control.now().signal, 1.5, 0.05);
  EXPECT_LT(gateway.controls().adaptive_limit.load(), 16);
  EXPECT_EQ(control.now().rung, Rung::kCalm) << "a baseline is no promise";
}

TEST_F(OverloadTest, EveryRungActsAndIsTakenBack) {
  OverloadControl control(options(AdaptiveMode::kOff), &gateway, &door);
  begin(&control);
  const Controls& controls = gateway.controls();
  waiting(90'000'000);
  gateway.load().head_blocked = true;
  second(&control, 40'000);
  EXPECT_EQ(controls.prefill_tokens_limit.load(), 256);
  for (int i = 0; i < 5; ++i) second(&control, 40'000);
  EXPECT_EQ(controls.background_tokens_max.load(), OverloadControl::kBackgroundTokensMax);
  EXPECT_EQ(controls.drop_caches.load(), 1u);
  EXPECT_TRUE(controls.hold_background.load());
  EXPECT_TRUE(door.refusing_for_brown_out());
  EXPECT_EQ(control.now().rung, Rung::kRefuse);
  for (size_t i = 1; i < kRungs; ++i) EXPECT_EQ(control.now().entered[i], 1u) << i;
  waiting(0);
  second(&control, 40'000);
  EXPECT_FALSE(door.refusing_for_brown_out()) << "the door opens first";
  for (int i = 0; i < 20; ++i) second(&control, 20'000);
  EXPECT_EQ(control.now().rung, Rung::kCalm);
  EXPECT_EQ(controls.prefill_tokens_limit.load(), 0);
  EXPECT_EQ(controls.background_tokens_max.load(), 0);
  EXPECT_FALSE(controls.hold_background.load());
  EXPECT_EQ(controls.drop_caches.load(), 1u);
}

TEST_F(OverloadTest, CachesStayWhereTheQueueWaitsForPlaces) {
  OverloadControl control(options(AdaptiveMode::kOff), &gateway, &door);
  begin(&control);
  waiting(50'000'000);
  for (int i = 0; i < 5; ++i) second(&control, 40'000);
  EXPECT_GE(control.now().rung, Rung::kEvictCaches);
  EXPECT_EQ(gateway.controls().drop_caches.load(), 0u);
}

TEST_F(OverloadTest, TurnedOffTheLadderStaysOnTheGround) {
  OverloadOptions without = options(AdaptiveMode::kOff);
  without.brown_out = false;
  OverloadControl control(without, &gateway, &door);
  begin(&control);
  waiting(600'000'000);
  for (int i = 0; i < 5; ++i) second(&control, 100'000);
  EXPECT_EQ(control.now().rung, Rung::kCalm);
  EXPECT_FALSE(control.now().brown_out);
  EXPECT_FALSE(door.refusing_for_brown_out());
}

TEST_F(OverloadTest, ClocksThatJumpAreHarmless) {
  OverloadControl control(options(AdaptiveMode::kOn), &gateway, &door);
  begin(&control);
  waiting(90'000'000);
  second(&control, 40'000);
  now -= 900'000;
  second(&control, 40'000);
  now += 86'400'000'000;
  second(&control, 40'000);
  EXPECT_EQ(control.now().limit, 16);
}

TEST(RecentLeast, ForgetsInTime) {
  RecentLeast least(100);
  EXPECT_EQ(least.value(), 0);
  least.add(5, 1);
  least.add(7, 50);
  EXPECT_EQ(least.value(), 5);
  least.add(8, 101);
  EXPECT_EQ(least.value(), 5) << "the half before still counts";
  least.add(9, 202);
  EXPECT_EQ(least.value(), 8);
}

}  // namespace
}  // namespace weir
