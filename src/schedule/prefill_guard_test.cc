// Prompts beside streams on a machine that others share: the guard of prefill keeps the time between tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "schedule/noisy_machine.h"
#include "schedule/test_world.h"

namespace weir {
namespace {

using testing_world::NoisyMachine;
using testing_world::NoisyMachineOptions;
using testing_world::Shape;
using testing_world::World;

constexpr int kPromptTokens = 1'900;
constexpr Micros kFixedUs = 18'000, kTokenUs = 250;  // two streams take 18.5 ms, a prompt alone half a second

struct Serving {
  Micros tpot_slo_us = 0;
  bool knows_its_work = true;  // whether the executor can tell its work from the time that others took
  bool prompts = true;
  int steps = 1'500;
};

struct Seen {
  Micros p99_us = 0, median_us = 0;
  int prompts = 0;
  int longest_chunk = 0;
};

// Two streams that never end, and one prompt after another. Gaps between tokens of the streams are the steps.
Seen serve(const Serving& serving, const NoisyMachineOptions& noise) {
  Shape shape{.running = 3, .queued = 3, .blocks = 128, .block_tokens = 64, .session = 2'048, .step_tokens = 512};
  shape.prefill_stretch = 2;
  shape.tpot_slo_us = serving.tpot_slo_us;
  World world(shape);
  NoisyMachine machine(noise);
  const auto work_us = [](const Step& step) {
    return kFixedUs + kTokenUs * static_cast<Micros>(step.tokens.size());
  };
  world.step_us = [&](const Step& step) { return machine.run(work_us(step)); };
  if (serving.knows_its_work) world.work_us = work_us;
  Seen seen;
  std::vector<Micros> gaps;
  const auto keep_busy = [&](SlotIndex slot, int prompt, int answer) {
    if (world.ended.count(slot)) world.release(slot);
    if (world.ended.count(slot) || !world.specs.count(slot)) world.submit(slot, prompt, answer);
  };
  for (int turn = 0; turn < serving.steps; ++turn) {
    for (const SlotIndex stream : {0, 1}) keep_busy(stream, 8, 2'000);
    if (turn > 20 && serving.prompts) {
      seen.prompts += world.ended.count(2) > 0;
      keep_busy(2, kPromptTokens, 1);
    }
    world.turn();
    int prefill = 0, decodes = 0;
    for (const StepSequence& part : world.step.sequences)
      (part.output.empty() ? prefill : decodes) += part.token_count;
    if (decodes == 0) continue;
    gaps.push_back(world.took);
    seen.longest_chunk = std::max(seen.longest_chunk, prefill);
  }
  std::sort(gaps.begin(), gaps.end());
  seen.p99_us = gaps[gaps.size() * 99 / 100];
  seen.median_us = gaps[gaps.size() / 2];
  return seen;
}

Seen undisturbed(const Serving& serving) { return serve(serving, {.burners = 0}); }

constexpr StepCosts kCosts{.fixed = 18'000, .prefill_token = 250, .decode_sequence = 250};
constexpr StepShape kDecodes{.decode_sequences = 2};  // 18.5 ms
constexpr Micros kAllowed = 37'000;                   // 74 tokens fit

StepShape with_prefill(int64_t tokens) { return {.prefill_tokens = tokens, .decode_sequences = 2}; }

TEST(PrefillGuard, NothingIsPromisedWithoutATarget) {
  PrefillGuard guard;
  EXPECT_EQ(guard.grant(StepTimeModel(), kDecodes, 0, 0), StepTimeModel::kNoLimit);
  EXPECT_FALSE(guard.note(StepTimeModel(), with_prefill(512), 1'000'000));
}

TEST(PrefillGuard, BeginsCarefullyAndReachesTheModelsChunk) {
  const StepTimeModel model(kCosts);
  PrefillGuard guard;
  EXPECT_EQ(guard.grant(StepTimeModel(), kDecodes, kAllowed, 0), 16) << "nothing is known";
  int64_t before = 0;
  for (int step = 0; step < 4; ++step) {
    const int64_t chunk = guard.grant(model, kDecodes, kAllowed, 0);
    EXPECT_GT(chunk, before);
    EXPECT_FALSE(guard.note(model, with_prefill(chunk), 20'000));
    before = chunk;
  }
  EXPECT_LE(before, 74);
}

TEST(PrefillGuard, ALateStepHalvesTheChunkDownToTheFloor) {
  const StepTimeModel model(kCosts);
  PrefillGuard guard;
  for (int step = 0; step < 10; ++step)
    guard.note(model, with_prefill(guard.grant(model, kDecodes, kAllowed, 0)), 20'000);
  const int64_t whole = guard.grant(model, kDecodes, kAllowed, 0);
  EXPECT_FALSE(guard.note(model, with_prefill(whole), 2 * kAllowed)) << "twice as long is borne";
  guard.grant(model, kDecodes, kAllowed, 0);
  EXPECT_TRUE(guard.note(model, with_prefill(whole), 2 * kAllowed + 1));
  EXPECT_EQ(guard.grant(model, kDecodes, kAllowed, 0), whole / 2);
  EXPECT_FALSE(guard.note(model, with_prefill(3), 1'000'000)) << "three tokens are not to blame";
  for (int step = 0; step < 20; ++step)
    guard.note(model, with_prefill(guard.grant(model, kDecodes, kAllowed, 0)), 1'000'000);
  EXPECT_EQ(guard.grant(model, kDecodes, kAllowed, 0), kAllowed / 16 / 250) << "a sixteenth of the step";
}

TEST(Faults, guard_fails_open) {
  for (const Micros tpot_slo_us : {0, 20'000}) {
    for (const bool knows_its_work : {true, false}) {
      const Serving serving{.tpot_slo_us = tpot_slo_us, .knows_its_work = knows_its_work};
      const Seen quiet = undisturbed(serving);
      Serving alone = serving;
      alone.prompts = false;
      for (uint64_t seed = 1; seed <= 3; ++seed) {
        const Seen noisy = serve(serving, {.seed = seed}), streams = serve(alone, {.seed = seed});
        SCOPED_TRACE(::testing::Message()
                     << "tpot_slo " << tpot_slo_us << " knows " << knows_its_work << " seed " << seed
                     << ": quiet p99 " << quiet.p99_us << " prompts " << quiet.prompts << ", noisy p99 "
                     << noisy.p99_us << " prompts " << noisy.prompts << " longest " << noisy.longest_chunk
                     << ", without prompts p99 " << streams.p99_us);
        // Where streams alone take longer than that, prompts add little. An executor that cannot tell its work from
        // the time of others measures its promise by the fastest steps that it saw, which are slower than
        // undisturbed ones.
        const double times = knows_its_work ? 2.5 : 3.5;
        EXPECT_LE(static_cast<double>(noisy.p99_us),
                  std::max(times * static_cast<double>(quiet.p99_us), 1.25 * static_cast<double>(streams.p99_us)));
        EXPECT_GE(noisy.prompts, 1) << "and prompts go on";
        EXPECT_LE(noisy.longest_chunk, (knows_its_work ? 1 : 4) * quiet.longest_chunk)
            << "and are never without a limit";
      }
    }
  }
}

}  // namespace
}  // namespace weir
