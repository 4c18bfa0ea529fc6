// Sequences that share blocks: prefix cache, choices of one request, reservations, and a pool that changes its size.
#include <gtest/gtest.h>

#include "schedule/test_world.h"

namespace weir {
namespace {

using namespace testing_world;

RequestSpec ask(std::vector<int32_t> prompt, int max_tokens, bool guaranteed = false) {
  RequestSpec spec;
  spec.prompt = std::move(prompt);
  spec.params.max_tokens = max_tokens;
  spec.guaranteed = guaranteed;
  return spec;
}

std::vector<int32_t> text(int tokens, int first = 0) {
  std::vector<int32_t> out;
  for (int i = 0; i < tokens; ++i) out.push_back(first + i);
  return out;
}

void release_ended(World* world) {
  for (const auto& [slot, reason] : world->ended) world->release(slot);
  world->ended.clear();
}

TEST(Sharing, ASecondRequestComputesOnlyWhatIsNew) {
  World world({.running = 2, .queued = 4, .blocks = 20, .block_tokens = 4, .session = 64, .step_tokens = 64, .prefix = true});
  world.submit(0, ask(text(18), 3));
  world.run_until_idle();
  release_ended(&world);
  const int64_t cold = world.computed_tokens;
  EXPECT_EQ(cold, 18 + 2);
  world.submit(1, ask(text(18), 3));
  world.run_until_idle();
  EXPECT_EQ(world.computed_tokens - cold, 2 + 2) << "four whole blocks were known";
  EXPECT_EQ(world.gateway.channel(1).cached_tokens, 16);
  EXPECT_EQ(world.gateway.load().prefix_hit_tokens, 16u);
}

TEST(Sharing, GeneratedTokensAreKnownToTheNextTurnOfAChat) {
  World world({.running = 1, .queued = 2, .blocks = 20, .block_tokens = 4, .session = 64, .step_tokens = 64, .prefix = true});
  world.submit(0, ask(text(6), 8));
  world.run_until_idle();
  std::vector<int32_t> history = text(6);
  history.insert(history.end(), world.outputs[0].begin(), world.outputs[0].end());
  history.push_back(40);
  release_ended(&world);
  world.submit(1, ask(history, 2));
  world.run_until_idle();
  EXPECT_EQ(world.gateway.channel(1).cached_tokens, 12) << "prompt and answer but for the last block";
}

TEST(Sharing, TheLastTokenIsAlwaysComputed) {
  World world({.running = 1, .queued = 2, .blocks = 20, .block_tokens = 4, .session = 64, .step_tokens = 64, .prefix = true});
  for (SlotIndex slot = 0; slot < 2; ++slot) {
    world.submit(slot, ask(text(8), 2));
    world.run_until_idle();
    release_ended(&world);
  }
  EXPECT_EQ(world.gateway.channel(1).cached_tokens, 4);
  EXPECT_EQ(world.outputs[1].size(), 2u);
}

TEST(Sharing, WhoeverNeedsAPrefixThatIsBeingComputedWaitsForIt) {
  World world({.running = 3, .queued = 4, .blocks = 40, .block_tokens = 4, .session = 64, .step_tokens = 8, .prefix = true});
  world.submit(0, ask(text(30), 2));
  world.submit(1, ask(text(30), 2));
  world.submit(2, ask(text(10, 100), 2));
  world.turn();
  EXPECT_EQ(world.scheduler.running_count(), 2) << "one waits for the prefix and lets the other pass";
  EXPECT_EQ(world.scheduler.waiting_count(), 1);
  EXPECT_FALSE(world.gateway.load().head_blocked);
  world.run_until_idle();
  EXPECT_EQ(world.ended.size(), 3u);
  EXPECT_EQ(world.gateway.channel(1).cached_tokens, 28);
  EXPECT_EQ(world.gateway.load().prefix_waits, 1u);
}

TEST(Sharing, WhenTheOneThatComputesIsGoneTheNextOneTakesOver) {
  World world({.running = 2, .queued = 4, .blocks = 40, .block_tokens = 4, .session = 64, .step_tokens = 8, .prefix = true});
  world.submit(0, ask(text(30), 2));
  world.submit(1, ask(text(30), 2));
  world.turn();
  world.cancel(0);
  world.run_until_idle();
  EXPECT_EQ(world.ended[1], FinishReason::kLength);
  EXPECT_EQ(world.gateway.channel(1).cached_tokens, 8) << "what the first one got done";
}

TEST(Sharing, ChoicesOfARequestShareItsPromptAndCopyOnWrite) {
  for (const bool prefix : {false, true}) {
    World world({.running = 4, .queued = 4, .blocks = 40, .block_tokens = 4, .session = 64, .step_tokens = 64, .prefix = prefix});
    world.next_token = [](const StepSequence& s) { return 10 + s.choice_index; };
    world.submit(0, ask(text(14), 6));
    for (SlotIndex slot = 1; slot < 4; ++slot) world.submit_choice(slot, 0, slot);
    world.turn();
    EXPECT_EQ(world.scheduler.running_count(), 1);
    world.turn();
    EXPECT_EQ(world.scheduler.running_count(), 4);
    EXPECT_EQ(world.pool.live_blocks(), 3 + 4) << "three whole blocks for all, the fourth copied on write";
    EXPECT_EQ(world.gateway.load().block_copies, 3u);
    world.run_until_idle();
    EXPECT_EQ(world.computed_tokens, 14 + 3 + 4 * 5) << "the prompt once, its last token for each, five decodes each";
    for (SlotIndex slot = 0; slot < 4; ++slot) EXPECT_EQ(world.outputs[slot], std::vector<int32_t>(6, 10 + slot));
  }
}

TEST(Sharing, NeverEvictsWhatARunningSequenceHolds) {
  World world({.running = 2, .queued = 4, .blocks = 8, .block_tokens = 4, .session = 32, .step_tokens = 32, .prefix = true});
  world.submit(0, ask(text(12), 10));
  world.turn();
  for (int i = 1; i < 20; ++i) {
    world.submit(1, ask(text(9, 30 + i), 1));
    while (!world.ended.count(1)) ASSERT_GT(world.turn(), 0);
    world.release(1);
    world.ended.erase(1);
    if (world.ended.count(0)) break;
  }
  EXPECT_EQ(world.outputs[0].size(), 10u);
}

// The pool is the cache's only tier. The front door refuses a prompt that it cannot hold (prompt_longer_than_pool); one
// that gets here all the same, because the pool was made smaller, ends before a token is computed or a prefix given up.
// One that just fits is served and known, and gives way to the next.
TEST(Traps, cache_entry_larger_than_tier) {
  World world({.running = 2, .queued = 4, .blocks = 8, .block_tokens = 4, .session = 64, .step_tokens = 16, .prefix = true});
  world.submit(0, ask(text(17), 1));
  world.run_until_idle();
  release_ended(&world);
  ASSERT_EQ(world.prefix->known_blocks(), 4);
  const int64_t computed = world.computed_tokens;
  world.submit(1, ask(text(40), 4));
  EXPECT_EQ(world.turn(), 0) << "nothing is built";
  EXPECT_EQ(world.ended[1], FinishReason::kMemoryPressure);
  EXPECT_EQ(world.computed_tokens, computed);
  EXPECT_EQ(world.pool.evictions(), 0u);
  EXPECT_EQ(world.prefix->known_blocks(), 4) << "what others computed is still there";
  release_ended(&world);
  world.submit(2, ask(text(31, 100), 1));
  world.run_until_idle();
  EXPECT_EQ(world.outputs[2].size(), 1u);
  EXPECT_EQ(world.prefix->known_blocks(), 7) << "as much of it as there are whole blocks, in the place of the older one";
  release_ended(&world);
  world.submit(3, ask(text(17, 200), 1));
  world.run_until_idle();
  EXPECT_EQ(world.outputs[3].size(), 1u);
  EXPECT_LE(world.prefix->known_blocks(), 8);
}

TEST(Reservation, AGuaranteedRequestHoldsAllItNeedsAndIsNeverPreempted) {
  World world({.running = 3, .queued = 4, .blocks = 10, .block_tokens = 4, .session = 40, .step_tokens = 16});
  world.submit(0, ask(text(4), 30));
  world.submit(1, ask(text(4, 50), 16, true));
  world.turn();
  EXPECT_EQ(world.pool.live_blocks(), 1 + 5);
  bool in_every_step = true;
  while (!world.ended.count(1)) {
    ASSERT_GT(world.turn(), 0);
    in_every_step &= std::any_of(world.step.sequences.begin(), world.step.sequences.end(),
                                 [](const StepSequence& s) { return s.slot == 1; });
  }
  EXPECT_TRUE(in_every_step);
  world.run_until_idle();
  EXPECT_EQ(world.outputs[0].size(), 30u);
}

TEST(Reservation, AGuaranteeThatThePoolCanNeverGiveEndsWithAName) {
  World world({.running = 2, .queued = 4, .blocks = 4, .block_tokens = 4, .session = 40, .step_tokens = 16});
  world.submit(0, ask(text(4), 30, true));
  world.submit(1, ask(text(4), 2));
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kMemoryPressure);
  EXPECT_EQ(world.ended[1], FinishReason::kLength);
}

TEST(Reservation, LearnedLengthsHoldBackWhatWouldNotFit) {
  World world({.running = 4, .queued = 8, .blocks = 12, .block_tokens = 4, .session = 48, .step_tokens = 32});
  const auto run = [&](int count) {
    for (SlotIndex slot = 0; slot < count; ++slot) world.submit(slot, ask(text(4, slot * 10), 20));
    world.run_until_idle();
    release_ended(&world);
  };
  run(4);
  EXPECT_GT(world.gateway.load().preemptions, 0u) << "nothing was known, so all started";
  const uint64_t before = world.gateway.load().preemptions;
  for (int i = 0; i < 4; ++i) run(4);
  EXPECT_EQ(world.gateway.load().preemptions, before) << "24 tokens each are forecast now: two at a time";
}

TEST(LengthHistory, ForecastsFromAnswersThatWereLonger) {
  LengthHistory history(0.5, 64);
  EXPECT_EQ(history.remaining(0), 64) << "nothing is known";
  for (int i = 1; i <= 10; ++i) history.add(i);
  EXPECT_EQ(history.remaining(0), 5);
  EXPECT_EQ(history.remaining(6), 2) << "the middle of 7..10 is 8";
  EXPECT_EQ(history.remaining(10), 64) << "longer than any";
  for (int i = 0; i < LengthHistory::kWindow; ++i) history.add(1000);
  EXPECT_GE(history.remaining(0), 1000);
  EXPECT_LE(history.remaining(0), 1064) << "buckets are at most 1/16 wide";
  LengthHistory extremes(1.0, 1);
  extremes.add(0);
  extremes.add(INT64_MAX);
  EXPECT_GT(extremes.remaining(0), 1'000'000'000);
}

TEST(Forecast, ThePeakIsWhereOneEnds) {
  std::vector<ForecastEntry> entries{{10, 2}, {10, 8}, {10, 4}};
  EXPECT_EQ(forecast_peak_tokens(entries, 0), 36) << "after two more tokens of each: 30 + 3 x 2";
  entries = {{1, 100}, {1, 1}};
  EXPECT_EQ(forecast_peak_tokens(entries, 0), 101);
}

TEST(LivePool, ShrinkingMovesWhatLivesAndPreemptsWhatDoesNotFit) {
  World world({.running = 3, .queued = 4, .blocks = 20, .block_tokens = 4, .session = 40, .step_tokens = 64, .prefix = true});
  for (SlotIndex slot = 0; slot < 3; ++slot) world.submit(slot, ask(text(16, slot * 20), 12));
  for (int i = 0; i < 3; ++i) world.turn();
  BlockCopies copies;
  ASSERT_TRUE(world.scheduler.resize_pool(12, &copies));
  world.copy(copies);
  EXPECT_EQ(world.pool.total_blocks(), 12);
  EXPECT_EQ(world.scheduler.running_count(), 2);
  world.scheduler.check_invariants();
  world.run_until_idle();
  for (SlotIndex slot = 0; slot < 3; ++slot) EXPECT_EQ(world.outputs[slot].size(), 12u) << slot;
  copies.clear();
  ASSERT_TRUE(world.scheduler.resize_pool(20, &copies));
  EXPECT_TRUE(copies.empty());
  world.scheduler.check_invariants();
}

TEST(LivePool, GuaranteedSequencesAreNotSqueezedOut) {
  World world({.running = 2, .queued = 2, .blocks = 20, .block_tokens = 4, .session = 40, .step_tokens = 64});
  world.submit(0, ask(text(8), 24, true));
  world.turn();
  BlockCopies copies;
  EXPECT_FALSE(world.scheduler.resize_pool(7, &copies));
  EXPECT_EQ(world.pool.total_blocks(), 20);
  EXPECT_TRUE(world.scheduler.resize_pool(8, &copies));
}

TEST(LivePool, WhatDoesNotFitASqueezedPoolWaitsForItToGrowBack) {
  World world({.running = 2, .queued = 2, .blocks = 10, .block_tokens = 4, .session = 40, .step_tokens = 64});
  BlockCopies copies;
  world.scheduler.set_squeezed(true);
  ASSERT_TRUE(world.scheduler.resize_pool(3, &copies));
  world.submit(0, ask(text(20), 4));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(world.turn(), 0);
  EXPECT_TRUE(world.ended.empty());
  ASSERT_TRUE(world.scheduler.resize_pool(10, &copies));
  world.scheduler.set_squeezed(false);
  world.run_until_idle();
  EXPECT_EQ(world.ended[0], FinishReason::kLength);
}

TEST(LivePool, TheNewestGivesWayUnderMemoryPressure) {
  World world({});
  world.submit(0, 3, 20);
  world.submit(1, 3, 20);
  world.turn();
  EXPECT_TRUE(world.scheduler.cancel_newest(world.now));
  world.collect();
  EXPECT_EQ(world.ended[1], FinishReason::kMemoryPressure);
  EXPECT_FALSE(world.ended.count(0));
}

// Shared prefixes, choices, guarantees, cancels, failures, live resizing and limits at random. After every step the
// invariants hold and every sequence attends to its own text alone; in the end nothing is held. A failure prints its
// seed.
TEST(Sharing, NothingIsLostAndNobodyReadsAnothersText) {
  for (uint32_t seed = 0; seed < 400 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) { return low + static_cast<int>(random() % static_cast<uint32_t>(high - low + 1)); };
    Shape shape{.running = pick(1, 6), .queued = pick(0, 8), .blocks = pick(8, 30), .block_tokens = pick(1, 5), .session = 0,
                .step_tokens = 0, .prefix = random() % 8 != 0, .blocks_max = 40};
    shape.session = std::min<int64_t>(40, shape.blocks * shape.block_tokens);
    shape.step_tokens = pick(shape.running, 60);
    World world(shape);
    world.fails = [&](const StepSequence&) { return random() % 300 == 0; };
    world.next_token = [&](const StepSequence& s) { return random() % 20 == 0 ? kEos : 1 + static_cast<int32_t>(s.output.size() % 3); };
    std::vector<bool> busy(static_cast<size_t>(world.slots), false);
    std::map<SlotIndex, SlotIndex> owner;  // a request's spec lives while any of its choices does
    int submitted = 0, finished = 0;
    const auto spec_in_use = [&](SlotIndex slot) {
      return std::any_of(owner.begin(), owner.end(), [&](const auto& one) { return one.second == slot; });
    };
    const auto settle = [&](bool all) {
      for (SlotIndex slot = 0; slot < world.slots; ++slot) {
        if (!world.ended.count(slot) || (!all && random() % 3 == 0)) continue;
        world.ended.erase(slot);
        world.release(slot);
        busy[static_cast<size_t>(slot)] = false;
        owner.erase(slot);
        ++finished;
      }
    };
    const auto submit = [&](SlotIndex slot) {
      std::vector<int32_t> prompt = text(pick(0, 14), 10 * pick(0, 2));
      for (int more = pick(1, 12); more > 0; --more) prompt.push_back(pick(0, 2));
      prompt.resize(std::min<size_t>(prompt.size(), static_cast<size_t>(shape.session - 1)));
      world.submit(slot, ask(prompt, pick(1, 12), random() % 6 == 0));
      busy[static_cast<size_t>(slot)] = true;
      owner[slot] = slot;
      ++submitted;
      for (SlotIndex other = 0, choice = 1; other < world.slots && random() % 3 == 0; ++other) {
        if (busy[static_cast<size_t>(other)] || spec_in_use(other)) continue;
        world.submit_choice(other, slot, choice++);
        busy[static_cast<size_t>(other)] = true;
        owner[other] = slot;
        ++submitted;
      }
    };
    for (int turn = 0; turn < 120; ++turn) {
      const SlotIndex slot = pick(0, world.slots - 1);
      if (!busy[static_cast<size_t>(slot)] && !spec_in_use(slot) && random() % 2) {
        submit(slot);
      } else if (busy[static_cast<size_t>(slot)] && random() % 8 == 0) {
        world.cancel(slot);
        world.collect();
      }
      if (random() % 12 == 0) {
        BlockCopies copies;
        if (world.scheduler.resize_pool(pick(static_cast<int>(world.pool.blocks_for(shape.session)), 40), &copies)) world.copy(copies);
        world.scheduler.check_invariants();
      }
      if (random() % 15 == 0) world.scheduler.set_running_limit(pick(1, shape.running));
      if (random() % 30 == 0) world.scheduler.cancel_newest(world.now), world.collect();
      if (random() % 30 == 0) world.pool.evict_all();
      world.turn();
      settle(false);
    }
    world.scheduler.set_running_limit(shape.running);
    world.fails = [](const StepSequence&) { return false; };
    for (int turn = 0; turn < 3000 && finished < submitted; ++turn) {
      world.turn();
      settle(true);
    }
    ASSERT_EQ(finished, submitted);
    ASSERT_EQ(world.pool.live_blocks(), 0);
    ASSERT_EQ(world.pool.free_blocks() + world.pool.evictable_blocks(), world.pool.total_blocks());
  }
}

}  // namespace
}  // namespace weir
