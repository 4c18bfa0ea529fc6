// The planner with a real model's numbers: models/weir-demo, 1.9 M parameters, where the door costs more than the model.
#include "server/blueprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "config/parse.h"
#include "server/app.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Settings demo() {
  Settings settings;
  settings.model = "models/weir-demo";
  settings.threads = 1;
  settings.pin_threads = false;
  std::vector<std::string> warnings;
  EXPECT_TRUE(resolve_settings(&settings, &warnings).ok());
  return settings;
}

uint64_t line(const MemoryPlan& plan, const std::string& name) {
  for (const PlanLine& one : plan.lines) {
    if (one.name == name) return one.bytes;
  }
  ADD_FAILURE() << "no line " << name;
  return 0;
}

// Drafts take rows of logits and tables of n-grams, both in the plan; what is off costs nothing.
TEST(Blueprint, SpeculationIsInThePlan) {
  Settings settings = demo();
  settings.session_len = 1024;
  settings.speculative_tokens = 16;
  const MemoryPlan off = plan_for(settings).value();
  settings.speculative_tokens = 5;
  EXPECT_EQ(plan_for(settings)->total_bytes, off.total_bytes) << "off, the number says nothing";
  settings.speculative = "ngram";
  const Blueprint on = draw_blueprint(settings).value();
  EXPECT_EQ(on.model.drafts_max, 5 * kDraftingSequences);
  EXPECT_EQ(on.scheduler_options().speculation.tokens_max, 5);
  EXPECT_EQ(on.scheduler_options().speculation.step_tokens_max, 5 * kDraftingSequences);
  const auto rows = static_cast<uint64_t>(5 * kDraftingSequences);
  EXPECT_GE(line(on.plan, "logits"), line(off, "logits") + rows * 2048 * 4);
  EXPECT_GT(line(on.plan, "sequences"), line(off, "sequences") + 32 * 3 * 1024 * 4) << "32 places, 3 orders";
  settings.max_batch_size = settings.max_concurrent_requests = 1;
  EXPECT_EQ(draw_blueprint(settings)->model.drafts_max, 5) << "one sequence has no more";
}

TEST(Blueprint, ConnectionsAndBodiesAreKnobsOfTheSearch) {
  Settings settings = demo();
  settings.session_len = 1024;
  const MemoryPlan whole = plan_for(settings).value();
  // Enough for everything but 40 MiB of it, with a cache of one session.
  settings.memory_limit = whole.total_bytes - line(whole, "kv cache") - 40 * kMiB;
  const std::string message = plan_for(settings).status().message();
  EXPECT_THAT(message, AllOf(HasSubstr("--max-body-bytes "), HasSubstr("fits with ")));
  EXPECT_EQ(message.find('\n'), std::string::npos);
  // What it says is true: with that flag the plan fits.
  const size_t at = message.find("--max-body-bytes ") + 17;
  Settings smaller = settings;
  smaller.max_body_bytes = parse_bytes(message.substr(at, message.find(' ', at) - at)).value();
  EXPECT_LT(smaller.max_body_bytes, settings.max_body_bytes);
  const Result<MemoryPlan> fits = plan_for(smaller);
  ASSERT_TRUE(fits.ok()) << fits.status().message();
  EXPECT_LT(line(*fits, "texts"), line(whole, "texts"));
  EXPECT_LT(line(*fits, "requests"), line(whole, "requests")) << "bodies are the ledger's";
}

TEST(Blueprint, ManyConnectionsForATinyModelAreTheFirstToGo) {
  Settings settings = demo();
  settings.session_len = 1024;
  settings.max_connections = 100'000;
  const uint64_t enough = plan_for(demo()).value().total_bytes;
  settings.memory_limit = enough;
  const std::string message = plan_for(settings).status().message();
  EXPECT_THAT(message, AllOf(HasSubstr("most is connections"), HasSubstr("--max-connections ")));
  const size_t at = message.find("--max-connections ") + 18;
  settings.max_connections = std::stoi(message.substr(at));
  EXPECT_LT(settings.max_connections, 100'000);
  EXPECT_TRUE(plan_for(settings).ok());
}

TEST(Blueprint, TheAnswerToAQuestionHoldsWhenItIsFollowed) {
  Settings settings = demo();
  const MemoryPlan whole = plan_for(settings).value();
  settings.memory_limit = whole.total_bytes - line(whole, "kv cache") + 20 * kMiB;
  const FitQuestion question{12, 600, 200};
  const PlanAnswer found = answer_question(settings, question).value();
  ASSERT_TRUE(found.answer.fits) << fit_text(found.answer);
  ASSERT_TRUE(found.plan.has_value());
  settings.cache_max_entry_count = found.answer.flags.substr(found.answer.flags.rfind(' ') + 1);
  const MemoryPlan followed = plan_for(settings).value();
  EXPECT_GE(followed.kv_blocks, found.answer.blocks_needed);
  EXPECT_EQ(followed.total_bytes, found.answer.total_bytes);
  const PlanAnswer more = answer_question(settings, {32, 600, 200}).value();
  EXPECT_FALSE(more.answer.fits);
  EXPECT_GT(more.answer.missing_bytes, 0u);
  settings.memory_limit += more.answer.missing_bytes;
  EXPECT_TRUE(answer_question(settings, {32, 600, 200}).value().answer.fits) << "missing means missing";
  settings.memory_limit -= 1;
  EXPECT_FALSE(answer_question(settings, {32, 600, 200}).value().answer.fits) << "and not a byte less";
}

TEST(Blueprint, AQuestionThatCannotBeIsAnErrorWithTheFlag) {
  Settings settings = demo();
  const auto error = [&](FitQuestion question) { return answer_question(settings, question).status().message(); };
  EXPECT_THAT(error({1, 1000, 25}), HasSubstr("the model's context of 1024 tokens; lower --prompt or --output"));
  EXPECT_THAT(error({33, 1, 1}), HasSubstr("--for 33 is above --max-batch-size 32"));
  EXPECT_THAT(error({0, 1, 1}), HasSubstr("--for 0"));
  settings.session_len = 256;
  EXPECT_THAT(error({1, 200, 57}), HasSubstr("above --session-len 256: raise --session-len"));
  settings.max_batch_size = 64;
  EXPECT_THAT(error({33, 1, 1}), HasSubstr("--for 33 is above --max-concurrent-requests 32"));
  settings.model = "no/such";
  EXPECT_THAT(error({1, 1, 1}), HasSubstr("no model directory at 'no/such'"));
}

TEST(Blueprint, ASessionLongerThanThePoolIsRefusedWithBothNumbers) {
  Settings settings = demo();
  settings.session_len = 1024;
  settings.cache_max_entry_count = "15";
  EXPECT_THAT(plan_for(settings).status().message(),
              AllOf(HasSubstr("--session-len 1024 needs 16 KV blocks"), HasSubstr("the cache has 15"),
                    HasSubstr("--session-len 960")));
  settings.session_len = 0;  // nobody asked for 1024: it gives way
  EXPECT_EQ(plan_for(settings).value().session_tokens, 512);
}

TEST(Blueprint, ALimitBelowTheWeightsIsRefused) {
  Settings settings = demo();
  settings.memory_limit = 16 * kMiB;
  const Status status = plan_for(settings).status();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("the limit is 16.00 MiB"), HasSubstr("set by --memory-limit")));
}

}  // namespace
}  // namespace weir
