// What the scheduler foretells, and what it does because of it.
#include <gtest/gtest.h>

#include <random>

#include "schedule/test_world.h"

namespace weir {
namespace {

using namespace testing_world;

// 400 us a step, 50 us a token of prefill, 20 us a decode.
Micros time_of(const Step& step) {
  Micros sum = 400;
  for (const StepSequence& part : step.sequences) sum += part.token_count == 1 ? 20 : 50 * part.token_count;
  return sum;
}

void warm_up(World& world) {
  world.step_us = time_of;
  for (int i = 0; i < 4; ++i) {
    world.submit(0, 10 + i, 16);
    world.run_until_idle();
    world.release(0);
    world.ended.clear();
  }
  ASSERT_TRUE(world.scheduler.step_time().confident());
}

TEST(Foresee, TheStepTimeIsLearntFromSteps) {
  World world({.running = 4, .queued = 8, .blocks = 64, .session = 64, .step_tokens = 32});
  warm_up(world);
  EXPECT_NEAR(static_cast<double>(world.scheduler.step_time().predict({.prefill_tokens = 20})), 1400, 140);
}

TEST(Foresee, WorkThatCannotMeetItsDeadlineIsDroppedBeforePrefill) {
  World world({.running = 4, .queued = 8, .blocks = 64, .session = 64, .step_tokens = 8});
  warm_up(world);
  const int64_t computed = world.computed_tokens;
  RequestSpec spec;
  spec.prompt.assign(40, 1);  // at least 2 ms
  spec.params.max_tokens = 4;
  spec.deadline_us = world.now + 2'500;  // the turn takes one of it
  world.submit(1, std::move(spec));
  world.turn();
  EXPECT_EQ(world.ended[1], FinishReason::kDeadline);
  EXPECT_EQ(world.computed_tokens, computed) << "no token of it was computed";
}

TEST(Foresee, PrefillLeavesDecodesWithinTheirTarget) {
  World world({.running = 4, .queued = 8, .blocks = 64, .session = 64, .step_tokens = 64, .tpot_slo_us = 2'000});
  warm_up(world);
  world.submit(0, 4, 40);
  world.turn();
  world.submit(1, 60, 4);
  int most = 0;
  for (int i = 0; i < 6; ++i) {
    world.turn();
    int prefill = 0;
    for (const StepSequence& part : world.step.sequences) prefill += part.token_count > 1 ? part.token_count : 0;
    most = std::max(most, prefill);
  }
  EXPECT_GE(most, 16) << "prefill never starves";
  EXPECT_LE(most, 34) << "420 us for the decode and 50 us a token within 2,000";
  world.run_until_idle();
  EXPECT_EQ(world.outputs[1].size(), 4u);
}

// Without a target: a step that decodes takes at most so many times as long, for one who waits; where more wait than
// decode, they get more.
TEST(Foresee, PrefillStretchesAStepOfDecodesAndNoMore) {
  const auto most_beside = [](int streams, int prompts) {
    World world({.running = 16, .queued = 16, .blocks = 256, .session = 64, .step_tokens = 128, .prefill_stretch = 2});
    warm_up(world);
    for (SlotIndex slot = 0; slot < streams; ++slot) world.submit(slot, 4, 40);
    for (int i = 0; i < 4; ++i) world.turn();
    for (SlotIndex slot = 0; slot < prompts; ++slot) world.submit(static_cast<SlotIndex>(streams + slot), 60, 2);
    int most = 0;
    for (int i = 0; i < 8; ++i) {
      world.turn();
      int prefill = 0;
      for (const StepSequence& part : world.step.sequences) prefill += part.token_count > 1 ? part.token_count : 0;
      most = std::max(most, prefill);
    }
    return most;
  };
  EXPECT_LE(most_beside(8, 1), 14) << "560 us for the decodes, and 50 us a token for as long again";
  EXPECT_GE(most_beside(8, 1), 4);
  EXPECT_GE(most_beside(1, 10), 60) << "ten first tokens count more than one next one";
}

TEST(Foresee, UrgentWorkExpiresWhileTheQueueStandsAndOthersNever) {
  World world({.running = 1, .queued = 60, .blocks = 64, .session = 64,
               .classes = {ClassKind::kUrgent, ClassKind::kBackground}, .codel_target_us = 20'000});
  world.step_us = time_of;
  std::map<FinishReason, int> urgent, background;
  int submitted = 0;
  for (SlotIndex slot = 0; slot < 61; ++slot) {
    RequestSpec spec;
    spec.prompt.assign(4, slot);
    spec.params.max_tokens = 40;
    spec.class_index = slot % 6 == 0;
    world.submit(slot, std::move(spec));
    ++submitted;
  }
  for (int i = 0; i < 3000 && submitted > 0; ++i) {
    world.turn();
    for (const auto& [slot, reason] : std::map(world.ended)) {
      ++(slot % 6 == 0 ? background : urgent)[reason];
      world.release(slot);
      world.ended.erase(slot);
      --submitted;
    }
  }
  EXPECT_EQ(submitted, 0);
  EXPECT_GT(urgent[FinishReason::kExpired], 3);
  EXPECT_GT(urgent[FinishReason::kLength], 10) << "it is thinned out, not thrown away";
  EXPECT_EQ(background[FinishReason::kExpired], 0);
  EXPECT_EQ(background[FinishReason::kLength], 11);
}

// A queue of known work: what each was told when it came is what happens, within what p90 promises.
TEST(Foresee, StartsComeWhenTheyWereForetold) {
  World world({.running = 3, .queued = 30, .blocks = 200, .session = 64, .step_tokens = 24});
  warm_up(world);
  world.specs.clear();
  std::mt19937 random(1);
  int submitted = 0, live = 0;
  bool ordered = true;
  for (int i = 0; i < 6000 && (submitted < 400 || live > 0); ++i) {
    for (const auto& [slot, reason] : std::map(world.ended)) {
      world.release(slot);
      world.ended.erase(slot);
      world.specs.erase(slot);
    }
    for (SlotIndex slot = 0; slot < world.slots && submitted < 400 && live < 20; ++slot) {
      if (world.specs.count(slot)) continue;
      world.submit(slot, 4 + static_cast<int>(random() % 30), 4 + static_cast<int>(random() % 8));
      ++submitted;
      break;
    }
    world.turn();
    live = world.scheduler.running_count() + world.scheduler.waiting_count();
    const LoadGauges& load = world.gateway.load();
    if (world.scheduler.waiting_count() > 4) ordered = ordered && load.start_in_us_p50[0] <= load.start_in_us_p90[0];
  }
  EXPECT_TRUE(ordered);
  EXPECT_GE(world.scheduler.start_forecast().samples(), 100);
  EXPECT_GT(world.scheduler.start_forecast().within_p90(), 0.75);
  EXPECT_NEAR(world.scheduler.start_forecast().ratio_quantile(0.5), 1.0, 0.4);
  world.turn();
  EXPECT_EQ(world.gateway.load().start_in_us_p90[0], 0) << "nobody waits any more";
}

TEST(Foresee, WhoWaitsKnowsHowManyAreAhead) {
  World world({.running = 1, .queued = 8, .blocks = 64, .session = 64});
  warm_up(world);
  for (SlotIndex slot = 0; slot < 4; ++slot) world.submit(slot, 6, 30);
  for (int i = 0; i < 40; ++i) world.turn();
  for (SlotIndex slot = 1; slot < 4; ++slot) {
    const WaitView& view = world.gateway.channel(slot).wait;
    EXPECT_EQ(view.ahead, slot - 1);
    EXPECT_GT(view.start_p50_us, world.now - 30'000);
    EXPECT_GE(view.first_token_p50_us, view.start_p50_us);
    EXPECT_GE(view.start_p90_us, view.start_p50_us);
    const Micros before = slot > 1 ? world.gateway.channel(slot - 1).wait.start_p50_us.load() : 0;
    EXPECT_GT(view.start_p50_us, before);
  }
  EXPECT_EQ(world.gateway.channel(2).wait.reason.load(), WaitReason::kOrder);
}

}  // namespace
}  // namespace weir
