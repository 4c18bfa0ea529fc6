// Classes, tenants, deadlines and ageing, seen through the Scheduler.
#include <gtest/gtest.h>

#include <random>
#include <utility>

#include "schedule/test_world.h"

namespace weir {
namespace {

using namespace testing_world;

const std::vector<ClassKind> kThree = {ClassKind::kUrgent, ClassKind::kStandard, ClassKind::kBackground};
constexpr int kUrgent = 0, kNormal = 1, kBatch = 2;

RequestSpec spec_of(int prompt, int max_tokens, int class_index, int tenant = 0) {
  RequestSpec spec;
  for (int i = 0; i < prompt; ++i) spec.prompt.push_back((i + class_index * 7 + tenant * 13) % 50);
  spec.params.max_tokens = max_tokens;
  spec.class_index = class_index;
  spec.tenant = tenant;
  return spec;
}

bool runs(World& world, SlotIndex slot) { return world.gateway.channel(slot).started_us != 0 && !world.ended.count(slot); }

TEST(Order, HigherClassesStartFirst) {
  World world({.running = 1, .queued = 6, .blocks = 32, .classes = kThree});
  world.submit(0, spec_of(3, 2, kNormal));
  world.turn();
  world.submit(1, spec_of(3, 1, kBatch));
  world.submit(2, spec_of(3, 1, kNormal));
  world.submit(3, spec_of(3, 1, kUrgent));
  std::vector<SlotIndex> order;
  for (int i = 0; i < 40 && order.size() < 4; ++i) {
    world.turn();
    for (const auto& [slot, reason] : std::map(world.ended)) {
      if (std::find(order.begin(), order.end(), slot) != order.end()) continue;
      order.push_back(slot);
      world.release(slot);
    }
  }
  EXPECT_EQ(order, (std::vector<SlotIndex>{0, 3, 2, 1}));
}

// With places free in the pool, only the limit is in the way: a class must count there too.
TEST(Traps, priority_only_on_memory) {
  World world({.running = 2, .queued = 6, .blocks = 64, .session = 64, .step_tokens = 16, .parked = 2, .classes = kThree});
  world.submit(0, spec_of(4, 30, kBatch));
  world.submit(1, spec_of(4, 30, kBatch));
  for (int i = 0; i < 5; ++i) world.turn();
  world.submit(2, spec_of(5, 6, kUrgent));
  world.turn();
  EXPECT_TRUE(runs(world, 2)) << "urgent work takes the place of background work at once";
  EXPECT_EQ(world.gateway.load().place_preemptions, 1u);
  EXPECT_EQ(world.gateway.load().overflows, 0u) << "memory had nothing to do with it";
  EXPECT_EQ(world.scheduler.running_count(), 2);
  EXPECT_EQ(world.gateway.channel(1).wait.reason.load(), WaitReason::kPreempted) << "the newest gave way";
  bool released = false;
  for (int i = 0; i < 200 && world.ended.size() < 3; ++i) {
    world.turn();
    if (world.ended.count(2) && !std::exchange(released, true)) world.release(2);
  }
  ASSERT_EQ(world.ended.size(), 3u);
  EXPECT_EQ(world.outputs[1].size(), 30u) << "it went on where it was";
  EXPECT_EQ(world.outputs[2].size(), 6u);
}

TEST(Order, NormalWorkParksNobodyAndGuaranteesHold) {
  World world({.running = 1, .queued = 6, .blocks = 64, .session = 64, .parked = 1, .classes = kThree});
  world.submit(0, spec_of(4, 30, kBatch));
  world.turn();
  world.submit(1, spec_of(4, 3, kNormal));
  for (int i = 0; i < 3; ++i) world.turn();
  EXPECT_FALSE(runs(world, 1));
  EXPECT_EQ(world.gateway.channel(1).wait.reason.load(), WaitReason::kPlace);
  world.specs[0].guaranteed = true;
  world.submit(2, spec_of(4, 3, kUrgent));
  for (int i = 0; i < 3; ++i) world.turn();
  EXPECT_FALSE(runs(world, 2)) << "what is guaranteed is never preempted";
  world.specs[0].guaranteed = false;
  world.turn();
  EXPECT_TRUE(runs(world, 2));
}

// On memory the newest of the lowest class gives way, even to one that came later.
TEST(Order, MemoryIsTakenFromTheLowestClass) {
  World world({.running = 3, .queued = 6, .blocks = 9, .session = 64, .step_tokens = 32, .classes = kThree});
  world.submit(0, spec_of(7, 40, kBatch));
  world.turn();
  world.submit(1, spec_of(7, 20, kUrgent));
  world.turn();
  ASSERT_EQ(world.scheduler.running_count(), 2);
  for (int i = 0; i < 60 && !world.ended.count(1); ++i) {
    world.turn();
    ASSERT_TRUE(runs(world, 1) || world.ended.count(1)) << "the urgent one never waits again";
  }
  EXPECT_GT(world.gateway.load().overflows, 0u);
  EXPECT_EQ(world.outputs[1].size(), 20u);
}

TEST(Order, WhatWasPreemptedKeepsItsClass) {
  World world({.running = 2, .queued = 6, .blocks = 9, .session = 36, .step_tokens = 32, .parked = 2, .classes = kThree});
  world.submit(0, spec_of(8, 24, kNormal));
  world.submit(1, spec_of(8, 24, kNormal));
  while (world.gateway.load().preemptions == 0) ASSERT_GT(world.turn(), 0);
  ASSERT_EQ(world.gateway.channel(1).wait.reason.load(), WaitReason::kPreempted);
  world.submit(2, spec_of(3, 2, kBatch));
  world.submit(3, spec_of(3, 2, kUrgent));
  world.turn();
  EXPECT_TRUE(runs(world, 3)) << "a higher class goes before what was preempted";
  for (int i = 0; i < 200 && world.ended.size() < 4; ++i) {
    world.turn();
    const bool resumed = world.gateway.channel(1).wait.reason.load() == WaitReason::kNone;
    EXPECT_TRUE(resumed || world.gateway.channel(2).started_us == 0) << "a lower one does not";
    for (const SlotIndex slot : {0, 3}) {
      if (world.ended.count(slot) && world.gateway.channel(slot).spec) {
        world.release(slot);
        world.gateway.channel(slot).spec = nullptr;
      }
    }
  }
  EXPECT_EQ(world.ended.size(), 4u);
  EXPECT_EQ(world.outputs[1].size(), 24u);
}

TEST(Order, AgeingEndsTheWaitOfALowClass) {
  World world({.running = 1, .queued = 40, .blocks = 64, .session = 64, .classes = kThree, .ageing_us = 20'000});
  world.submit(0, spec_of(3, 3, kBatch));
  world.submit(1, spec_of(3, 3, kUrgent));
  int urgent = 1;
  for (int i = 0; i < 400 && !world.ended.count(0); ++i) {
    world.turn();
    for (const auto& [slot, reason] : std::map(world.ended)) {
      if (slot == 0) continue;
      world.ended.erase(slot);
      world.release(slot);
      world.submit(slot, spec_of(3, 3, kUrgent));
      ++urgent;
    }
  }
  EXPECT_TRUE(world.ended.count(0)) << "urgent work without end starved it";
  EXPECT_EQ(world.gateway.load().lifts, 2u);
  EXPECT_GT(urgent, 5);
}

// Two backlogged tenants; one sends ten times as many requests. Shares of service follow the weights.
struct Shares {
  double first = 0, second = 0;
};
Shares serve_backlogged(int weight_first, int weight_second) {
  World world({.running = 4, .queued = 60, .blocks = 400, .session = 64, .step_tokens = 32});
  world.gateway.tenants().knobs[1].weight_milli = weight_first * 1000;
  world.gateway.tenants().knobs[2].weight_milli = weight_second * 1000;
  std::mt19937 random(3);
  std::map<SlotIndex, int> tenant_of;
  int waiting[3] = {0, 0, 0};
  Shares shares;
  const auto submit = [&](SlotIndex slot, int tenant) {
    world.submit(slot, spec_of(3 + static_cast<int>(random() % 20), 2 + static_cast<int>(random() % 20), 0, tenant));
    tenant_of[slot] = tenant;
    ++waiting[tenant];
  };
  for (SlotIndex slot = 0; slot < 64; ++slot) submit(slot, slot % 11 == 0 ? 2 : 1);
  for (int turn = 0; turn < 6000; ++turn) {
    world.turn();
    for (const auto& [slot, reason] : std::map(world.ended)) {
      const int tenant = tenant_of[slot];
      --waiting[tenant];
      world.ended.erase(slot);
      world.release(slot);
      submit(slot, waiting[2] < 6 ? 2 : 1);  // the second always has a few, the first ten times as many
    }
  }
  const auto& gauges = world.gateway.tenants().gauges;
  shares.first = static_cast<double>(gauges[1].prompt_tokens + 2 * gauges[1].output_tokens) / weight_first;
  shares.second = static_cast<double>(gauges[2].prompt_tokens + 2 * gauges[2].output_tokens) / weight_second;
  return shares;
}

TEST(Order, ServiceFollowsTheWeightsWhoeverSendsMore) {
  for (const auto& [first, second] : {std::pair{1, 1}, std::pair{3, 1}, std::pair{1, 3}}) {
    const Shares shares = serve_backlogged(first, second);
    EXPECT_NEAR(shares.first / shares.second, 1.0, 0.05) << first << ":" << second;
    const double sum = shares.first + shares.second;
    const double squares = shares.first * shares.first + shares.second * shares.second;
    EXPECT_GE(sum * sum / (2 * squares), 0.98) << "Jain";
  }
}

TEST(Order, ATenantRunsNoMoreThanItMay) {
  World world({.running = 4, .queued = 10, .blocks = 64, .session = 64, .step_tokens = 32});
  world.gateway.tenants().knobs[1].running_max = 1;
  for (SlotIndex slot = 0; slot < 3; ++slot) world.submit(slot, spec_of(4, 10, 0, 1));
  for (SlotIndex slot = 3; slot < 6; ++slot) world.submit(slot, spec_of(4, 10, 0, 2));
  world.turn();
  EXPECT_EQ(world.gateway.tenants().gauges[1].running, 1);
  EXPECT_EQ(world.gateway.tenants().gauges[2].running, 3) << "others are not held up";
  EXPECT_EQ(world.gateway.channel(1).wait.reason.load(), WaitReason::kTenantLimit);
  world.run_until_idle();
  for (const auto& [slot, reason] : world.ended) EXPECT_EQ(reason, FinishReason::kLength);
}

TEST(Order, ATenantHoldsNoMoreThanItsShareOfThePool) {
  World world({.running = 4, .queued = 10, .blocks = 20, .session = 64, .step_tokens = 64});
  world.gateway.tenants().knobs[1].kv_share_milli = 300;  // 6 blocks of 20
  for (SlotIndex slot = 0; slot < 3; ++slot) world.submit(slot, spec_of(8, 9, 0, 1));
  world.submit(3, spec_of(8, 40, 0, 2));
  world.submit(4, spec_of(8, 40, 0, 1));
  for (int i = 0; i < 400 && world.ended.size() < 5; ++i) {
    world.turn();
    int64_t held = 0;
    for (const StepSequence& part : world.step.sequences) {
      if (world.specs[part.slot].tenant == 1) held += static_cast<int64_t>(part.blocks.size());
    }
    ASSERT_LE(held, 6);
    for (const auto& [slot, reason] : std::map(world.ended)) {
      if (world.specs.count(slot)) world.release(slot), world.specs.erase(slot);
    }
  }
  ASSERT_EQ(world.ended.size(), 5u);
  for (SlotIndex slot = 0; slot < 3; ++slot) EXPECT_EQ(world.outputs[slot].size(), 9u) << slot;
  EXPECT_EQ(world.outputs[3].size(), 40u);
  EXPECT_EQ(world.ended[4], FinishReason::kLength) << "alone it outgrew the share";
  EXPECT_LT(world.outputs[4].size(), 40u);
}

TEST(Order, SmallOnesPassAHeadThatDoesNotFitUntilItsAgeForbids) {
  World world({.running = 4, .queued = 30, .blocks = 12, .session = 48, .step_tokens = 64, .ageing_us = 15'000});
  world.submit(0, spec_of(20, 25, 0));
  world.turn();
  world.submit(1, spec_of(40, 2, 0));  // 11 blocks: waits for the first to end
  world.turn();
  EXPECT_EQ(world.gateway.channel(1).wait.reason.load(), WaitReason::kBlocks);
  world.submit(2, spec_of(4, 2, 0));
  world.turn();
  EXPECT_TRUE(runs(world, 2) || world.ended.count(2)) << "it fits and passes";
  EXPECT_EQ(world.gateway.load().passes, 1u);
  for (int i = 0; i < 14; ++i) world.turn();
  world.submit(3, spec_of(4, 2, 0));
  for (int i = 0; i < 3; ++i) world.turn();
  EXPECT_FALSE(runs(world, 3)) << "the head has waited for so long that nobody passes it";
  world.run_until_idle();
  EXPECT_EQ(world.ended.size(), 4u);
}

TEST(Deadline, HoldsInTheQueueInPrefillAndInDecode) {
  World world({.running = 2, .queued = 6, .blocks = 64, .session = 64, .step_tokens = 2});
  RequestSpec decoding = spec_of(2, 60, 0);
  decoding.deadline_us = 20'500;
  world.submit(0, std::move(decoding));
  world.turn();
  RequestSpec prefilling = spec_of(40, 5, 0);
  prefilling.deadline_us = 10'500;
  world.submit(1, std::move(prefilling));
  RequestSpec waiting = spec_of(4, 5, 0);
  waiting.deadline_us = 5'500;
  waiting.queue_deadline_us = 9'000;
  world.submit(2, std::move(waiting));
  EXPECT_EQ(world.scheduler.next_deadline(), 5'500);
  for (int i = 0; i < 30; ++i) world.turn();
  ASSERT_EQ(world.ended.size(), 3u);
  for (SlotIndex slot = 0; slot < 3; ++slot) EXPECT_EQ(world.ended[slot], FinishReason::kDeadline) << slot;
  EXPECT_GT(world.outputs[0].size(), 10u);
  EXPECT_GT(world.gateway.channel(1).prompt_tokens_done, 0);
  EXPECT_LT(world.gateway.channel(1).prompt_tokens_done, 40);
  EXPECT_EQ(world.gateway.channel(2).started_us, 0);
  EXPECT_EQ(world.scheduler.next_deadline(), 0);
  EXPECT_EQ(world.pool.free_blocks(), world.pool.total_blocks());
}

TEST(Deadline, TheQueueDeadlineEndsWithTheStart) {
  World world({.running = 1, .queued = 6, .blocks = 64, .session = 64});
  RequestSpec first = spec_of(4, 30, 0);
  first.queue_deadline_us = 5'000;
  world.submit(0, std::move(first));
  RequestSpec second = spec_of(4, 30, 0);
  second.queue_deadline_us = 6'000;
  world.submit(1, std::move(second));
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kLength);
  EXPECT_EQ(world.ended[1], FinishReason::kQueueTimeout);
}

TEST(BrownOut, ClampsBackgroundAnswersAndChunksAndGivesBothBack) {
  World world({.running = 2, .queued = 6, .blocks = 64, .session = 64, .step_tokens = 16, .classes = kThree});
  world.scheduler.set_background_tokens_max(5);
  world.scheduler.set_prefill_tokens_limit(4);
  world.submit(0, spec_of(12, 20, kBatch));
  EXPECT_EQ(world.turn(), 4);
  world.submit(1, spec_of(4, 20, kNormal));
  world.run_until_idle();
  EXPECT_EQ(world.outputs[0].size(), 5u);
  EXPECT_EQ(world.outputs[1].size(), 20u) << "others are left alone";
  world.release(0);
  world.release(1);
  world.scheduler.set_background_tokens_max(0);
  world.scheduler.set_prefill_tokens_limit(0);
  world.submit(2, spec_of(12, 20, kBatch));
  EXPECT_EQ(world.turn(), 12);
  world.run_until_idle();
  EXPECT_EQ(world.outputs[2].size(), 20u);
}

// Everything at once, from many seeds: classes, tenants with limits, deadlines, cancels, a small pool, prefixes. The
// world checks after every step that each sequence reads its own text; here: everybody ends once and all comes back.
TEST(Order, ManySeedsLoseNobody) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    World world({.running = 3, .queued = 9, .blocks = 10 + static_cast<int64_t>(random() % 20), .session = 40,
                 .step_tokens = 6 + static_cast<int>(random() % 20), .prefix = random() % 2 == 0,
                 .parked = static_cast<int>(random() % 4), .classes = kThree, .ageing_us = 5'000 + static_cast<Micros>(random() % 50'000)});
    for (int t = 1; t < 4; ++t) {
      world.gateway.tenants().knobs[static_cast<size_t>(t)].weight_milli = 500 + static_cast<int>(random() % 3000);
      world.gateway.tenants().knobs[static_cast<size_t>(t)].running_max = static_cast<int>(random() % 3);
      world.gateway.tenants().knobs[static_cast<size_t>(t)].kv_share_milli = 400 + static_cast<int>(random() % 600);
    }
    std::set<SlotIndex> live;
    int submitted = 0, ended = 0;
    for (int turn = 0; turn < 3000 && (submitted < 60 || !live.empty()); ++turn) {
      const SlotIndex slot = static_cast<SlotIndex>(random() % static_cast<unsigned>(world.slots));
      if (submitted < 60 && !live.count(slot) && random() % 2 == 0) {
        RequestSpec spec = spec_of(1 + static_cast<int>(random() % 24), 1 + static_cast<int>(random() % 15),
                                   static_cast<int>(random() % 3), static_cast<int>(random() % 4));
        if (random() % 4 == 0) spec.deadline_us = world.now + static_cast<Micros>(random() % 60'000);
        if (random() % 4 == 0) spec.queue_deadline_us = world.now + static_cast<Micros>(random() % 60'000);
        spec.guaranteed = random() % 8 == 0 && spec.tenant == 0;
        world.submit(slot, std::move(spec));
        live.insert(slot);
        ++submitted;
      } else if (live.count(slot) && !world.ended.count(slot) && random() % 10 == 0) {
        world.cancel(slot);
      }
      world.turn();
      for (const auto& [done, reason] : std::map(world.ended)) {
        if (random() % 2 == 0) continue;  // its last byte is not written yet
        world.release(done);
        world.ended.erase(done);
        live.erase(done);
        ++ended;
      }
      if (::testing::Test::HasFailure()) FAIL() << "seed " << seed << " turn " << turn;
    }
    ASSERT_EQ(ended, submitted) << "seed " << seed << ": some never end";
    EXPECT_EQ(world.pool.live_blocks(), 0);
    for (int t = 0; t < 4; ++t) {
      EXPECT_EQ(world.gateway.tenants().gauges[static_cast<size_t>(t)].running, 0);
      EXPECT_EQ(world.gateway.tenants().gauges[static_cast<size_t>(t)].waiting, 0);
    }
  }
}

}  // namespace
}  // namespace weir
