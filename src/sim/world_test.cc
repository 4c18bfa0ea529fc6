// Whole runs of the simulator: thousands of seeds, exact replay, real traces, and that broken parts are found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/sanitized.h"
#include "sim/abort_note.h"
#include "sim/generate.h"
#include "sim/soak.h"
#include "sim/trace.h"
#include "sim/world.h"

namespace weir::sim {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int64_t kSeeds = kSanitized ? 200 : 3000;

std::string told(const SoakResult& result) {
  return result.violation ? replay_command(result.failed_seed, 40, true) + ": " + result.violation->text() : "";
}

TEST(Soak, ThousandsOfSeedsBreakNothing) {
  const SoakResult result = run_soak({.first_seed = 1, .seeds = kSeeds, .requests = 40}, {});
  EXPECT_EQ(told(result), "");
  EXPECT_EQ(result.seeds, kSeeds);
  EXPECT_EQ(result.requests, kSeeds * 40);
  // It met what it is there for.
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kCancelled, FinishReason::kQueueTimeout,
        FinishReason::kShutdown, FinishReason::kError, FinishReason::kMemoryPressure, FinishReason::kDeadline}) {
    EXPECT_GT(result.finishes[static_cast<size_t>(reason)], 0u) << finish_reason_name(reason);
  }
  EXPECT_GT(result.preemptions, 0u);
  EXPECT_GT(result.accepted_tokens, 0u);
  EXPECT_GT(result.drafted_tokens, result.accepted_tokens);
  EXPECT_GT(result.refusals, 0u);
  EXPECT_GT(result.faults, 0u);
}

// 38: a plan that evicted before it released gave another split of free and kept blocks than its replay.
TEST(Soak, SeedsThatFoundABugOnce) {
  for (const uint64_t seed : {38u, 852u}) {
    const SoakResult result = run_soak({.first_seed = seed, .seeds = 1, .requests = 1000}, {});
    EXPECT_FALSE(result.violation) << replay_command(seed, 1000, true) << ": " << result.violation->text();
  }
}

TEST(Soak, ASeedReplaysEventByEvent) {
  for (const uint64_t seed : {3u, 17u, 99u}) {
    const SoakWorld first = draw_world(seed, 60, true), second = draw_world(seed, 60, true);
    const Outcome once = World({first.options, {}}, &soak_profile(), &first.load).run();
    const Outcome again = World({second.options, {}}, &soak_profile(), &second.load).run();
    EXPECT_EQ(once.event_hash, again.event_hash);
    EXPECT_EQ(once.steps, again.steps);
    EXPECT_EQ(once.finishes, again.finishes);
    const SoakWorld other = draw_world(seed + 1, 60, true);
    EXPECT_NE(once.event_hash, World({other.options, {}}, &soak_profile(), &other.load).run().event_hash);
  }
}

TEST(Soak, WithoutFaultsNothingIsCancelledAndNothingFails) {
  const SoakResult result = run_soak({.first_seed = 1, .seeds = kSeeds / 10, .requests = 40, .faults = false}, {});
  EXPECT_EQ(told(result), "");
  for (const FinishReason reason : {FinishReason::kError, FinishReason::kShutdown}) {
    EXPECT_EQ(result.finishes[static_cast<size_t>(reason)], 0u) << finish_reason_name(reason);
  }
}

// ---- Broken parts ----

struct Small {
  WorldOptions options;
  Load load;

  Small() {
    options.shape.running_max = 4;
    options.shape.queued_max = 8;
    options.shape.session_tokens = 64;
    options.shape.step_tokens_max = 16;
    options.shape.block_tokens = 4;
    options.shape.blocks = options.shape.blocks_max = 24;
    options.check_kv = true;
    load = generate({.requests = 60,
                     .arrivals = {.rate = 100},
                     .prompt = {20, 0.5},
                     .output = {15, 0.5},
                     .tokens_max = 60,
                     .shared_tokens = 11,
                     .shared_share = 0.7});
    for (SimRequest& request : load.requests) request.choices = 2;
  }
  std::string what() const {
    const Outcome outcome = World(options, &soak_profile(), &load).run();
    return outcome.violation ? outcome.violation->what : "";
  }
};

TEST(Mutation, TheWholeMachineIsSound) {
  Small world;
  EXPECT_EQ(world.what(), "");
  const Outcome outcome = World(world.options, &soak_profile(), &world.load).run();
  EXPECT_EQ(outcome.ended, outcome.submitted);
  EXPECT_EQ(outcome.records.size(), static_cast<size_t>(outcome.submitted));
  EXPECT_GT(outcome.prefix_hit_tokens, 0u);
}

TEST(Mutation, AFinishThatIsLostIsFound) {
  Small world;
  int finishes = 0;
  world.options.sabotage.loses_notice = [&](const Notice& notice) {
    return notice.finish != FinishReason::kNone && ++finishes == 5;
  };
  EXPECT_THAT(world.what(),
              AnyOf(HasSubstr("never ended"), HasSubstr("has not ended"), HasSubstr("is the oldest running one")));
}

TEST(Mutation, APlaceThatIsNotGivenBackIsFound) {
  Small world;
  int releases = 0;
  world.options.sabotage.loses_release = [&](SlotIndex) { return ++releases == 3; };
  EXPECT_THAT(world.what(), HasSubstr("still 1 places held"));
}

TEST(Mutation, AWrongTokenIsFound) {
  Small world;
  int steps = 0;
  world.options.sabotage.changes_results = [&](const Step& step, std::span<StepResult> results) {
    if (++steps > 10 && step.sequences[0].samples) results[0].token.token = 1;
  };
  EXPECT_THAT(world.what(), HasSubstr("wrong token"));
}

TEST(Mutation, AWrongGuessThatIsTakenForRightIsFound) {
  Small world;
  world.options.shape.speculative_tokens = 4;
  world.options.shape.text_period = 3;
  EXPECT_EQ(world.what(), "");
  world.options.sabotage.changes_results = [](const Step& step, std::span<StepResult> results) {
    for (size_t i = 0; i < results.size(); ++i) {
      const StepSequence& part = step.sequences[i];
      if (part.draft_count() == 0 || results[i].accepted > 0) continue;
      results[i].accepted = 1;
      results[i].token.token = part.drafts[0];
      results[i].more[0] = results[i].token;
    }
  };
  EXPECT_THAT(world.what(), HasSubstr("wrong token"));
}

TEST(Mutation, AFailureThatNobodyOrderedIsFound) {
  Small world;
  int steps = 0;
  world.options.sabotage.changes_results = [&](const Step&, std::span<StepResult> results) {
    if (++steps == 10) results[0].ok = false;
  };
  EXPECT_THAT(world.what(), HasSubstr("ended with error"));
}

TEST(Mutation, ACopyThatIsNotMadeIsFound) {
  Small world;
  world.options.sabotage.forgets_copies = true;
  EXPECT_THAT(world.what(), HasSubstr("attends to another text"));
}

TEST(MutationDeathTest, AnAbortSaysHowToReplay) {
  const auto broken_run = [] {
    Small world;
    world.load.requests[20].prompt_tokens = 0;  // the door lets it in and the scheduler CHECKs: a bug of ours
    const AbortNote where("weir simulate --seed 7");
    World(world.options, &soak_profile(), &world.load).run();
  };
  EXPECT_DEATH(broken_run(), "aborted in step [1-9][0-9]* at [0-9]+ us; replay: weir simulate --seed 7");
}

// ---- Real traces ----

std::string trace_file(const std::string& name) {
  const char* data = std::getenv("WEIR_DATA");
  const std::string path = std::string(data != nullptr ? data : "../shared/data") + "/traces/" + name;
  return std::filesystem::exists(path) ? path : "";
}

Outcome run_trace(const std::string& path, WorldOptions options, int64_t requests) {
  const Result<Load> load = read_trace(path, {.requests_max = requests});
  EXPECT_TRUE(load.ok()) << load.status().message();
  const auto profile = std::move(make_roofline("h200", "8B", {})).value();
  options.shape.blocks = options.shape.blocks_max =
      static_cast<int32_t>(profile->kv_tokens() / options.shape.block_tokens);
  options.check_every = 500;
  return World(options, profile.get(), &*load).run();
}

TEST(RealTrace, AzureOnAnH200) {
  const std::string path = trace_file("azure-2023/AzureLLMInferenceTrace_code.csv");
  if (path.empty()) GTEST_SKIP() << "the Azure trace is not here (WEIR_DATA)";
  WorldOptions options;
  options.shape.queued_tokens_max = 1 << 20;
  options.shape.queued_max = 512;
  const Outcome outcome = run_trace(path, options, 2000);
  EXPECT_FALSE(outcome.violation) << outcome.violation->text();
  EXPECT_EQ(outcome.offered, 2000);
  EXPECT_EQ(outcome.finishes[static_cast<size_t>(FinishReason::kStop)], 2000u);
  EXPECT_EQ(outcome.recomputed_tokens, 0u);
}

TEST(RealTrace, MooncakeSharesItsPrefixes) {
  const std::string path = trace_file("mooncake/synthetic_trace.jsonl");
  if (path.empty()) GTEST_SKIP() << "the Mooncake trace is not here (WEIR_DATA)";
  WorldOptions options;
  options.shape.session_tokens = 65536;
  options.shape.step_tokens_max = 4096;
  options.shape.queued_tokens_max = 1 << 24;
  options.shape.queue_timeout_us = 0;
  const Outcome with = run_trace(path, options, 200);
  EXPECT_FALSE(with.violation) << with.violation->text();
  EXPECT_GT(with.prefix_hit_tokens, 0u);
  EXPECT_GT(with.refusals[static_cast<size_t>(Refusal::kPromptTooLong)] + with.ended, 0u);
  options.shape.prefix = false;
  const Outcome without = run_trace(path, options, 200);
  EXPECT_FALSE(without.violation) << without.violation->text();
  EXPECT_GT(without.busy_us, with.busy_us);
}

}  // namespace
}  // namespace weir::sim
