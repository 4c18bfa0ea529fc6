// Drafts in the scheduler: what they may take, what they may not, and that nobody's tokens change.
#include "schedule/speculation.h"

#include "schedule/test_world.h"

namespace weir::testing_world {
namespace {

constexpr SpeculationOptions kOn{.tokens_max = 6, .step_tokens_max = 12};

// A text that repeats itself and slips now and then; another for each first token.
int32_t token_at_position(int32_t first, int64_t position) {
  const auto hash = static_cast<uint64_t>(first * 1000 + position) * 0x9E3779B97F4A7C15u;
  return (hash >> 40) % 7 == 0 ? static_cast<int32_t>((hash >> 20) % 40) : static_cast<int32_t>(position % 5 + first % 3);
}
int32_t periodic(const StepSequence& part, int32_t accepted) {
  return token_at_position(part.prompt[0], static_cast<int64_t>(part.prompt.size() + part.output.size()) + accepted);
}

RequestSpec periodic_request(int32_t first, int prompt, int max_tokens) {
  RequestSpec spec;
  spec.prompt.push_back(first);
  for (int i = 1; i < prompt; ++i) spec.prompt.push_back(token_at_position(first, i));
  spec.params.max_tokens = max_tokens;
  return spec;
}

int drafts_of(const Step& step) {
  int count = 0;
  for (const StepSequence& part : step.sequences) count += part.draft_count();
  return count;
}

struct Ran {
  std::map<SlotIndex, std::vector<int32_t>> outputs;
  uint64_t steps = 0, drafted = 0, accepted = 0, preemptions = 0;
};

// A crowd of random requests in small random worlds. Every step is looked at before its results are taken.
Ran run_crowd(uint32_t seed, bool on) {
  std::mt19937 random(seed);
  const auto between = [&random](int low, int high) { return low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)); };
  Shape shape{.running = between(1, 6), .queued = 20, .session = 96, .step_tokens = between(8, 24), .prefix = random() % 2 == 0};
  shape.block_tokens = 4 << between(0, 2);
  shape.blocks = 96 / shape.block_tokens * between(1, 3);
  if (on) shape.speculation = kOn;
  World world(shape);
  world.token_after = periodic;
  world.step_us = [&](const Step& step) {
    bool prefills = false;
    for (const StepSequence& part : step.sequences) {
      const auto blocks = static_cast<int64_t>(part.blocks.size());
      const auto known = static_cast<int64_t>(part.prompt.size() + part.output.size());
      prefills |= part.known_count() > 1;
      EXPECT_LE(part.draft_count(), kOn.tokens_max);
      EXPECT_LE(part.position_begin + part.token_count, blocks * shape.block_tokens);
      EXPECT_LE(known + part.draft_count() + 1, shape.session);
      EXPECT_LE(static_cast<int32_t>(part.output.size()) + part.draft_count() + 1, std::max(1, part.params->max_tokens));
      const auto needed = (known + shape.block_tokens - 1) / shape.block_tokens;
      if (part.draft_count() > 0 && !world.specs[part.slot].guaranteed) {
        EXPECT_LE(blocks, needed) << "a block for drafts";
      }
    }
    EXPECT_LE(drafts_of(step), prefills ? 0 : kOn.step_tokens_max);
    return Micros{0};  // not learnt: the price is the documented one
  };
  std::set<SlotIndex> released;
  int steps = 0;
  const auto turn = [&] {
    steps += world.turn() > 0;
    for (const auto& [slot, reason] : world.ended) {
      if (released.insert(slot).second) world.release(slot);
    }
  };
  for (SlotIndex slot = 0; slot < 12; ++slot) {
    const int prompt = between(1, 40);
    RequestSpec spec = periodic_request(between(1, 5), prompt, between(1, 90 - prompt));
    spec.guaranteed = between(0, 5) == 0;
    world.submit(slot, std::move(spec));
    for (int i = between(0, 4); i > 0; --i) turn();
  }
  Ran ran;
  for (int i = 0; i < 5000 && world.ended.size() < 12; ++i) turn();
  EXPECT_EQ(world.ended.size(), 12u);
  const LoadGauges& load = world.gateway.load();
  ran.outputs = world.outputs;
  ran.steps = static_cast<uint64_t>(steps);
  ran.drafted = load.spec_drafted_tokens, ran.accepted = load.spec_accepted_tokens, ran.preemptions = load.preemptions;
  return ran;
}

TEST(Speculation, ACrowdSaysTheSameAndNothingIsTakenForDrafts) {
  uint64_t drafted = 0, accepted = 0, preemptions = 0;
  int64_t saved = 0;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    const Ran with = run_crowd(seed, true), without = run_crowd(seed, false);
    EXPECT_EQ(with.outputs, without.outputs);
    EXPECT_EQ(without.drafted, 0u);
    drafted += with.drafted;
    accepted += with.accepted;
    preemptions += with.preemptions;
    saved += static_cast<int64_t>(without.steps) - static_cast<int64_t>(with.steps);
  }
  EXPECT_GT(saved, 500) << "steps";
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(drafted, accepted);
  EXPECT_GT(preemptions, 0u);
}

TEST(Speculation, RightGuessesAreTokensWithoutAStep) {
  const auto turns = [](bool on) {
    Shape shape{.running = 1, .queued = 1, .blocks = 32, .block_tokens = 16, .session = 200, .step_tokens = 64};
    if (on) shape.speculation = {.tokens_max = 6, .step_tokens_max = 6};
    World world(shape);
    world.token_after = [](const StepSequence& part, int32_t accepted) {
      return static_cast<int32_t>(part.prompt.size() + part.output.size() + static_cast<size_t>(accepted)) % 5;
    };
    world.submit(0, 20, 101);
    int count = 0;
    while (world.turn() > 0) ++count;
    EXPECT_EQ(world.outputs[0].size(), 101u);
    EXPECT_EQ(world.gateway.load().spec_steps > 0, on);
    return count;
  };
  EXPECT_EQ(turns(false), 101);
  EXPECT_LT(turns(true), 40);
}

// At 40 sequences a row costs nearly what a token costs: nobody guesses before it is known to be right nearly always.
TEST(Speculation, ALargeBatchHasNoDrafts) {
  Shape shape{.running = 40, .queued = 1, .blocks = 400, .block_tokens = 16, .session = 128, .step_tokens = 64};
  shape.speculation = kOn;
  World world(shape);
  world.token_after = periodic;
  world.step_us = [](const Step&) { return Micros{0}; };
  for (SlotIndex slot = 0; slot < 40; ++slot) world.submit(slot, periodic_request(slot % 5 + 1, 20, 60));
  for (int i = 0; i < 40; ++i) world.turn();
  EXPECT_EQ(world.scheduler.running_count(), 40);
  EXPECT_EQ(world.gateway.load().spec_drafted_tokens, 0u);
}

// Where steps turned out to cost what their rows cost, drafts do not pay, and the same text with a fixed cost has them.
TEST(Speculation, ThePriceIsLearntFromSteps) {
  const auto drafted_late = [](Micros fixed, Micros row) {
    Shape shape{.running = 4, .queued = 4, .blocks = 400, .block_tokens = 64, .session = 1600, .step_tokens = 64};
    shape.speculation = kOn;
    World world(shape);
    world.token_after = periodic;
    world.step_us = [=](const Step& step) { return fixed + row * static_cast<Micros>(step.tokens.size()); };
    for (SlotIndex slot = 0; slot < 4; ++slot) world.submit(slot, periodic_request(slot + 1, 8, 1500));
    for (int i = 0; i < 100; ++i) world.turn();
    const uint64_t before = world.gateway.load().spec_drafted_tokens;
    for (int i = 0; i < 100; ++i) world.turn();
    return world.gateway.load().spec_drafted_tokens - before;
  };
  EXPECT_GT(drafted_late(10'000, 10), 600u) << "rows are free: nearly all that a step may have";
  EXPECT_LT(drafted_late(10, 1000), 100u) << "rows are all there is";
}

// Steps of 10 ms and 1 ms a row: --tpot-slo 13ms leaves room for two guesses beside one decode.
TEST(Speculation, DraftsKeepTheStepWithinTheTargetOfTokens) {
  const auto longest_step = [](Micros slo) {
    Shape shape{.running = 1, .queued = 1, .blocks = 64, .block_tokens = 64, .session = 1600, .step_tokens = 64};
    shape.speculation = kOn;
    shape.tpot_slo_us = slo;
    World world(shape);
    size_t longest = 0;
    int turns = 0;
    world.token_after = [](const StepSequence& part, int32_t accepted) {
      return static_cast<int32_t>(part.prompt.size() + part.output.size() + static_cast<size_t>(accepted)) % 5;
    };
    world.step_us = [&](const Step& step) {
      if (++turns > 100) longest = std::max(longest, step.tokens.size());  // learnt by then
      return 10'000 + 1'000 * static_cast<Micros>(step.tokens.size());
    };
    world.submit(0, periodic_request(1, 8, 1500));
    for (int i = 0; i < 200; ++i) world.turn();
    return longest;
  };
  EXPECT_EQ(longest_step(0), 7u) << "no target";
  const size_t within = longest_step(13'500);
  EXPECT_GE(within, 2u);
  EXPECT_LE(within, 3u);
}

TEST(Speculation, WhoGuessesInVainIsSwitchedOffAndCounted) {
  Shape shape{.running = 1, .queued = 1, .blocks = 32, .block_tokens = 64, .session = 1600, .step_tokens = 64};
  shape.speculation = kOn;
  World world(shape);
  std::mt19937 random(5);  // pairs recur all the time, what follows them is never known
  world.token_after = [&random](const StepSequence&, int32_t) { return static_cast<int32_t>(random() % 6) + 100; };
  world.step_us = [](const Step&) { return Micros{0}; };
  world.submit(0, 10, 1500);
  world.run_until_idle();
  const LoadGauges& load = world.gateway.load();
  EXPECT_EQ(world.outputs[0].size(), 1500u);
  EXPECT_GT(load.spec_switched_off, 0u);
  EXPECT_LT(load.spec_accepted_tokens * 2, load.spec_drafted_tokens);
}

TEST(SampleWithDrafts, TakesTokensWhileTheGuessesAreRight) {
  const std::vector<int32_t> text{10, 11, 12, 13, 14};
  std::vector<int32_t> drafts{10, 11, 99};
  std::vector<TokenEvent> events(3);
  const StepSequence part{.token_count = 4, .samples = true, .drafts = drafts};
  StepResult result{.more = events};
  int asked = 0;
  const auto sample = [&](int32_t row, TokenEvent* out) {
    EXPECT_EQ(row, asked++);
    out->token = text[static_cast<size_t>(row)];
    return true;
  };
  sample_with_drafts(part, sample, &result);
  EXPECT_EQ(asked, 3) << "the row behind the wrong guess is nobody's";
  EXPECT_EQ(result.accepted, 2);
  EXPECT_EQ(result.token.token, 10);
  EXPECT_EQ(result.more[0].token, 11);
  EXPECT_EQ(result.more[1].token, 12) << "in the place of the wrong one";
  drafts[2] = 12;
  asked = 0;
  sample_with_drafts(part, sample, &result);
  EXPECT_EQ(result.accepted, 3);
  EXPECT_EQ(result.more[2].token, 13);
  drafts[0] = 0;
  asked = 0;
  sample_with_drafts(part, sample, &result);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(result.accepted, 0) << "nothing is left of the run before";
}

TEST(SampleWithDrafts, ARowThatFailsBehindARightGuessFailsInItsOwnStep) {
  const std::vector<int32_t> drafts{10, 11, 12};
  std::vector<TokenEvent> events(3);
  const StepSequence part{.token_count = 4, .samples = true, .drafts = drafts};
  for (int32_t broken = 0; broken < 4; ++broken) {
    StepResult result{.more = events};
    sample_with_drafts(part, [broken](int32_t row, TokenEvent* out) {
      out->token = 10 + row;
      return row != broken;
    }, &result);
    EXPECT_EQ(result.ok, broken > 0);
    EXPECT_EQ(result.accepted, std::max(0, broken - 1));
  }
}

TEST(Speculation, RoomIsLentInTheOrderOfTheStep) {
  Step step;
  const std::vector<int32_t> two(2), three(3);
  step.sequences = {{.drafts = two}, {}, {.drafts = three}};
  std::vector<StepResult> results(3, StepResult{.accepted = 9});
  std::vector<TokenEvent> events(5);
  lend_room(step, results, events);
  EXPECT_EQ(results[0].more.data(), events.data());
  EXPECT_EQ(results[0].more.size(), 2u);
  EXPECT_TRUE(results[1].more.empty());
  EXPECT_EQ(results[2].more.data(), events.data() + 2);
  EXPECT_EQ(results[2].more.size(), 3u);
  for (const StepResult& result : results) EXPECT_EQ(result.accepted, 0);
}

}  // namespace
}  // namespace weir::testing_world
