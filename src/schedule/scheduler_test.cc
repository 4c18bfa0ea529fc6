#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "schedule/test_world.h"

namespace weir {
namespace {

using namespace testing_world;

TEST(Scheduler, FirstComeFirstServedWithinThePlaces) {
  World world({});
  for (SlotIndex slot = 0; slot < 4; ++slot) world.submit(slot, 3, 2);
  world.turn();
  EXPECT_EQ(world.scheduler.running_count(), 2);
  EXPECT_EQ(world.scheduler.waiting_count(), 2);
  EXPECT_EQ(world.gateway.load().running, 2);
  world.run_until_idle();
  EXPECT_EQ(world.ended.size(), 2u) << "a place is held until it is released";
  world.release(0);
  world.run_until_idle();
  EXPECT_EQ(world.ended.size(), 3u);
  world.release(1);
  world.run_until_idle();
  ASSERT_EQ(world.ended.size(), 4u);
  for (const auto& [slot, reason] : world.ended) EXPECT_EQ(reason, FinishReason::kLength) << slot;
  EXPECT_EQ(world.outputs[3], (std::vector<int32_t>{7, 7}));
}

TEST(Scheduler, EosEndsUnlessIgnored) {
  World world({});
  world.next_token = [](const StepSequence& s) { return s.output.size() == 1 ? kEos : 7; };
  world.submit(0, 3, 5);
  world.specs[0].params.ignore_eos = true;
  world.submit(1, 3, 5);
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kLength);
  EXPECT_EQ(world.outputs[0].size(), 5u);
  EXPECT_EQ(world.ended[1], FinishReason::kStop);
  EXPECT_EQ(world.outputs[1], (std::vector<int32_t>{7, kEos}));
}

TEST(Traps, short_behind_long) {
  World world({.blocks = 20, .session = 64, .step_tokens = 8});
  world.submit(0, 3, 40);
  world.turn();
  world.submit(1, 60, 2);
  for (int i = 0; i < 6; ++i) {
    const size_t before = world.outputs[0].size();
    world.turn();
    EXPECT_EQ(world.outputs[0].size(), before + 1) << "a decode in every step of the long prefill";
  }
}

TEST(Traps, last_request_outgrows_pool) {
  World world({.running = 2, .blocks = 3, .block_tokens = 4, .session = 32});
  world.submit(0, 5, 30);
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kLength);
  EXPECT_EQ(world.outputs[0].size(), 12u - 5u + 1u) << "every position of the pool was used";
  EXPECT_EQ(world.pool.free_blocks(), 3);
}

TEST(Traps, unset_max_tokens) {
  World world({.running = 2, .blocks = 8, .block_tokens = 4, .session = 32});
  world.submit(0, 3, 29);  // up to the session: alone it would need the whole pool
  world.submit(1, 3, 29);
  world.turn();
  EXPECT_EQ(world.scheduler.running_count(), 2) << "what may never be used is not reserved";
}

TEST(Traps, preempt_loop) {
  World world({.running = 4, .queued = 4, .blocks = 8, .block_tokens = 4, .session = 32, .step_tokens = 16});
  for (SlotIndex slot = 0; slot < 4; ++slot) world.submit(slot, 6, 20);
  int computed = 0, turns = 0;
  for (int tokens; (tokens = world.turn()) > 0;) {
    computed += tokens;
    ASSERT_LT(++turns, 500);
  }
  ASSERT_EQ(world.ended.size(), 4u);
  for (SlotIndex slot = 0; slot < 4; ++slot) EXPECT_EQ(world.outputs[slot].size(), 20u) << slot;
  const int useful = 4 * (6 + 19);
  EXPECT_GT(world.gateway.load().preemptions, 0u);
  EXPECT_LT(computed, 2 * useful) << "throughput may not collapse";
}

TEST(Traps, priority_lost_on_preemption) {
  World world({.running = 3, .queued = 4, .blocks = 6, .block_tokens = 4, .session = 24, .step_tokens = 16});
  for (SlotIndex slot = 0; slot < 3; ++slot) world.submit(slot, 4, 16);
  while (world.gateway.load().preemptions == 0) ASSERT_GT(world.turn(), 0);
  world.submit(3, 1, 1);  // small enough to fit at once, but younger
  const auto in_step = [&](SlotIndex slot) {
    return std::any_of(world.step.sequences.begin(), world.step.sequences.end(),
                       [&](const StepSequence& s) { return s.slot == slot; });
  };
  ASSERT_FALSE(in_step(2)) << "the newest is the victim";
  bool resumed = false;
  for (int turn = 0; turn < 100 && world.ended.size() < 4; ++turn) {
    world.turn();
    resumed |= in_step(2);
    EXPECT_TRUE(resumed || !in_step(3)) << "a younger one passed it";
    if (world.ended.count(0) && world.gateway.channel(0).spec) {
      world.release(0);
      world.gateway.channel(0).spec = nullptr;
    }
  }
  EXPECT_EQ(world.ended.size(), 4u);
  EXPECT_EQ(world.outputs[2].size(), 16u);
}

TEST(Traps, cancel_while_queued) {
  World world({});
  for (SlotIndex slot = 0; slot < 4; ++slot) world.submit(slot, 3, 30);
  world.turn();
  world.cancel(2);
  world.collect();
  EXPECT_EQ(world.ended[2], FinishReason::kCancelled);
  EXPECT_EQ(world.scheduler.waiting_count(), 1);
  world.cancel(2);  // late cancels are harmless
  world.cancel(0);
  world.collect();
  EXPECT_EQ(world.ended[0], FinishReason::kCancelled) << "and so can running ones, within one step";
  world.release(0);
  world.release(2);
  world.turn();
  EXPECT_EQ(world.scheduler.running_count(), 2) << "the next one has its place";
}

TEST(Traps, one_bad_request_kills_the_batch) {
  World world({});
  world.submit(0, 3, 4);
  world.submit(1, 3, 4);
  world.fails = [](const StepSequence& s) { return s.slot == 0 && s.output.size() == 2; };
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kError);
  EXPECT_EQ(world.ended[1], FinishReason::kLength);
  EXPECT_EQ(world.outputs[1].size(), 4u);
}

TEST(Scheduler, QueueTimeoutsSpareWhoHasStarted) {
  World world({.running = 1, .queued = 3});
  world.submit(0, 3, 20, world.now + 5000);
  world.submit(1, 3, 2, world.now + 5000);
  world.submit(2, 3, 2, world.now + 500000);
  for (int i = 0; i < 6; ++i) world.turn();
  EXPECT_EQ(world.ended[1], FinishReason::kQueueTimeout);
  EXPECT_FALSE(world.ended.count(0));
  EXPECT_FALSE(world.ended.count(2));
  EXPECT_GT(world.scheduler.next_deadline(), world.now);
}

TEST(Scheduler, AFullRingPausesItsSequenceAlone) {
  World world({.blocks = 20, .session = 64});
  world.read_rings = false;
  world.submit(0, 3, 30);
  for (int i = 0; i < 20; ++i) world.turn();
  EXPECT_GT(world.gateway.load().ring_stalls, 0u);
  world.submit(1, 3, 2);
  world.turn();
  EXPECT_EQ(world.step.sequences.size(), 1u) << "the other one runs";
  world.read_rings = true;
  TokenEvent event;
  while (world.gateway.channel(0).ring->try_pop(&event)) world.outputs[0].push_back(event.token);
  world.run_until_idle();
  EXPECT_EQ(world.outputs[0].size(), 30u);
}

// Found by the simulator: preempted while its reader was slow, it came back to a full ring and sampled into it.
TEST(Scheduler, AResumedSequenceWaitsForItsReaderToo) {
  World world({.running = 2, .blocks = 6, .block_tokens = 4, .session = 32, .step_tokens = 32});
  world.read_rings = false;
  world.submit(0, 4, 12);
  world.submit(1, 2, 20);
  while (!world.ended.count(0)) {  // its reader is quick, that of the other one reads nothing
    ASSERT_GT(world.turn(), 0);
    TokenEvent event;
    while (!world.ended.count(0) && world.gateway.channel(0).ring->try_pop(&event)) {
    }
  }
  ASSERT_GE(world.gateway.load().preemptions.load(), 1u);
  for (int turn = 0; turn < 5; ++turn) world.turn();
  EXPECT_EQ(world.gateway.channel(1).ring->room(), 0u);
  EXPECT_FALSE(world.ended.count(1));
  world.read_rings = true;
  TokenEvent event;
  while (world.gateway.channel(1).ring->try_pop(&event)) {
  }
  world.release(0);
  world.run_until_idle();
  EXPECT_EQ(world.ended.at(1), FinishReason::kLength);
}

TEST(Scheduler, AHeadWithoutBlocksIsSaid) {
  World world({.running = 2, .queued = 2, .blocks = 4, .block_tokens = 4, .session = 16});
  world.submit(0, 11, 4);
  world.submit(1, 8, 2);
  world.turn();
  EXPECT_TRUE(world.gateway.load().head_blocked);
  world.run_until_idle();
  EXPECT_EQ(world.ended.size(), 2u);
  EXPECT_FALSE(world.gateway.load().head_blocked);
}

// Random requests, cancels, failures and slow releases; after every step the invariants hold, and in the end
// everything has ended exactly once and every block is back. A failure prints its seed.
TEST(Traps, aborted_requests_leak) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) { return low + static_cast<int>(random() % (high - low + 1)); };
    Shape shape{.running = pick(1, 5), .queued = pick(0, 6), .blocks = pick(3, 20), .block_tokens = 4,
                .session = pick(8, 64), .step_tokens = 0};
    shape.step_tokens = pick(shape.running, 40);
    World world(shape);
    const int64_t longest_prompt = std::min<int64_t>(shape.session - 1, shape.blocks * shape.block_tokens - 1);
    world.fails = [&](const StepSequence&) { return random() % 200 == 0; };
    world.next_token = [&](const StepSequence&) { return random() % 20 == 0 ? kEos : 1; };
    std::vector<bool> busy(static_cast<size_t>(world.slots), false);
    int submitted = 0, finished = 0;
    const auto settle = [&](bool all) {
      for (SlotIndex slot = 0; slot < world.slots; ++slot) {
        if (!world.ended.count(slot) || (!all && random() % 3 == 0)) continue;
        world.ended.erase(slot);
        world.release(slot);
        busy[static_cast<size_t>(slot)] = false;
        ++finished;
      }
    };
    for (int turn = 0; turn < 150; ++turn) {
      const SlotIndex slot = pick(0, world.slots - 1);
      if (!busy[static_cast<size_t>(slot)] && random() % 2) {
        busy[static_cast<size_t>(slot)] = true;
        world.submit(slot, pick(1, static_cast<int>(longest_prompt)), pick(1, 40),
                     random() % 2 ? world.now + pick(1, 30) * 1000 : world.now + 60'000'000);
        ++submitted;
      } else if (busy[static_cast<size_t>(slot)] && random() % 8 == 0) {
        world.cancel(slot);
        world.collect();
      }
      world.turn();
      settle(false);
    }
    world.fails = [](const StepSequence&) { return false; };
    for (int turn = 0; turn < 3000 && finished < submitted; ++turn) {
      world.turn();
      settle(true);
    }
    ASSERT_EQ(finished, submitted);
    ASSERT_EQ(world.pool.free_blocks(), shape.blocks);
    ASSERT_EQ(world.scheduler.running_count() + world.scheduler.waiting_count(), 0);
  }
}

TEST(Scheduler, FinishAllEndsEverything) {
  World world({});
  for (SlotIndex slot = 0; slot < 5; ++slot) world.submit(slot, 3, 20);
  world.turn();
  world.scheduler.finish_all(FinishReason::kShutdown, world.now);
  world.collect();
  EXPECT_EQ(world.ended.size(), 5u);
  EXPECT_EQ(world.pool.free_blocks(), world.pool.total_blocks());
}

// Tokens that are given are no reason to end, however they read.
TEST(Scheduler, AScoredEosEndsNothing) {
  World world({});
  world.next_token = [](const StepSequence& s) {
    return s.output.size() < s.params->scored.size() ? s.params->scored[s.output.size()] : kEos;
  };
  RequestSpec spec{.prompt = {1}};
  spec.params.scored = {kEos, 5, kEos};
  spec.params.stop_token_ids = {5};
  spec.params.max_tokens = 6;
  world.submit(0, spec);
  spec.params.max_tokens = 3;
  world.submit(1, spec);
  world.run_until_idle();
  EXPECT_EQ(world.outputs[0], (std::vector<int32_t>{kEos, 5, kEos, kEos}));
  EXPECT_EQ(world.ended[0], FinishReason::kStop);
  EXPECT_EQ(world.outputs[1], (std::vector<int32_t>{kEos, 5, kEos}));
  EXPECT_EQ(world.ended[1], FinishReason::kLength);
}

}  // namespace
}  // namespace weir
