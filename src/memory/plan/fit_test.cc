#include "memory/plan/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/units.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// 2 GiB fixed, of which 1 MiB for each place and 64 KiB for each session token; 1 MiB a block of 64; 4 GiB in all.
std::vector<PlanLine> lines_at(int64_t session_tokens, int max_batch) {
  const uint64_t grows = static_cast<uint64_t>(max_batch) * kMiB + static_cast<uint64_t>(session_tokens) * 64 * kKiB;
  return {{"weights", 2 * kGiB - 16 * kMiB - 256 * kMiB, ""}, {"workspace", grows, ""}};
}

PlanInput four_gib() {
  PlanInput input;
  input.fixed_lines = lines_at(4096, 16);
  input.kv_block_bytes = kMiB;
  input.block_tokens = 64;
  input.limit_bytes = 4 * kGiB;
  input.limit_source = "--memory-limit";
  input.session_tokens = 4096;
  input.max_batch = 16;
  input.fixed_lines_at = lines_at;
  return input;
}

uint64_t blocks_with(PlanInput input, const std::string& share) {
  input.cache = parse_cache_share(share).value();
  const Result<MemoryPlan> plan = plan_as_given(input);
  return plan.ok() ? plan->kv_blocks : 0;
}

TEST(Fit, TheSmallestRatioInHundredthsThatHoldsThem) {
  const PlanInput input = four_gib();
  // 16 x 28 blocks of the 2048 that remain: 0.21875.
  const FitAnswer answer = fit_question(input, {16, 1000, 792}).value();
  EXPECT_TRUE(answer.fits);
  EXPECT_EQ(answer.blocks_needed, 16u * 28u);
  EXPECT_EQ(answer.flags, "--cache-max-entry-count 0.22");
  EXPECT_GE(blocks_with(input, "0.22"), 448u);
  EXPECT_LT(blocks_with(input, "0.21"), 448u);
  EXPECT_LE(answer.total_bytes, input.limit_bytes);
  EXPECT_EQ(answer.sequences_as_set, 16);
  EXPECT_THAT(fit_text(answer), AllOf(HasSubstr("16 sequences of 1,000 + 792 tokens: fits with ratio 0.22: "),
                                      HasSubstr("as set, 16 such sequences fit at once\n")));
}

// Every number of sequences and length: the ratio holds them, one hundredth less does not.
TEST(Fit, NoSmallerRatioWouldDo) {
  const PlanInput input = four_gib();
  int fitting = 0;
  for (int64_t n = 1; n <= 16; n += 3) {
    for (int64_t prompt = 1; prompt < 4096; prompt += 517) {
      const FitAnswer answer = fit_question(input, {n, prompt, 1}).value();
      ASSERT_TRUE(answer.fits);
      ++fitting;
      const std::string share = answer.flags.substr(answer.flags.rfind(' ') + 1);
      EXPECT_GE(blocks_with(input, share), answer.blocks_needed) << share;
      const double less = answer.ratio - 0.01;
      if (less < 0.001) continue;
      EXPECT_LT(blocks_with(input, std::to_string(less)), answer.blocks_needed) << share;
    }
  }
  EXPECT_EQ(fitting, 6 * 8);
}

TEST(Fit, AllOfTheRestIsARatioOfOneAndABlockMoreIsMissing) {
  PlanInput input = four_gib();
  input.session_tokens = 64 * 128;
  input.fixed_lines_at = nullptr;
  input.kv_block_bytes = kMiB;
  input.limit_bytes = 2 * kGiB + 16 * 128 * kMiB;
  EXPECT_EQ(fit_question(input, {16, 8000, 192}).value().flags, "--cache-max-entry-count 1.0");
  input.limit_bytes -= 1;
  const FitAnswer answer = fit_question(input, {16, 8000, 192}).value();
  EXPECT_FALSE(answer.fits);
  EXPECT_EQ(answer.missing_bytes, 1u);
  EXPECT_EQ(answer.sequences_as_set, 12) << "0.8 of one byte less than 2048 blocks";
  EXPECT_THAT(answer.alternatives, IsEmpty());
  EXPECT_THAT(fit_text(answer), HasSubstr("needs 1 B more; no smaller setting makes that room: raise the limit"));
}

TEST(Fit, OneWholeSessionIsNeededWhateverIsAsked) {
  const FitAnswer answer = fit_question(four_gib(), {1, 1, 1}).value();
  EXPECT_EQ(answer.blocks_needed, 64u) << "a pool that does not hold --session-len is refused at start";
  EXPECT_EQ(answer.flags, "--cache-max-entry-count 0.04");
}

TEST(Fit, WhatIsMissingAndEveryWayOutIsNamed) {
  PlanInput input = four_gib();
  input.limit_bytes = 2 * kGiB + 900 * kMiB;  // 900 blocks, and 16 x 64 are asked for
  input.variants = {{"--quant-policy 8", input.fixed_lines, kMiB / 2 + kMiB / 32},
                    {"--model-format int8", {{"weights", kGiB, ""}, {"workspace", 272 * kMiB, ""}}, kMiB},
                    {"--useless on", input.fixed_lines, kMiB}};
  input.knobs = {{.flag = "--max-connections", .value = 4096, .floor = 64}};
  input.knob_lines_at = [](int64_t session, int batch, std::span<const int64_t> knobs) {
    std::vector<PlanLine> lines = lines_at(session, batch);
    lines[0].bytes -= 256 * kMiB;
    lines.push_back({"connections", static_cast<uint64_t>(knobs[0]) * 64 * kKiB, ""});
    return lines;
  };
  const FitAnswer answer = fit_question(input, {16, 4000, 96}).value();
  EXPECT_FALSE(answer.fits);
  EXPECT_EQ(answer.missing_bytes, 124 * kMiB);
  const auto is = [](const char* flags) { return Field(&Alternative::flags, flags); };
  EXPECT_THAT(answer.alternatives, ElementsAre(is("--quant-policy 8 --cache-max-entry-count 0.61"),
                                               is("--model-format int8 --cache-max-entry-count 0.62"),
                                               is("--max-connections 2048 --cache-max-entry-count 1.0")));
  for (const Alternative& way : answer.alternatives) EXPECT_LE(way.total_bytes, input.limit_bytes);
  EXPECT_THAT(fit_text(answer), HasSubstr("needs 124.0 MiB more, or --quant-policy 8 --cache-max-entry-count 0.61 ("));
  EXPECT_EQ(fit_text(answer).find('\n'), fit_text(answer).size() - 1);
}

TEST(Fit, AShorterSessionIsNamedWhereItIsTheSessionThatCosts) {
  PlanInput input = four_gib();
  input.limit_bytes = 2 * kGiB + 50 * kMiB;  // a session of 4096 needs 64 blocks; one token less costs 64 KiB less too
  const FitAnswer answer = fit_question(input, {2, 500, 100}).value();
  EXPECT_FALSE(answer.fits);
  ASSERT_THAT(answer.alternatives, SizeIs(testing::Ge(1u)));
  EXPECT_THAT(answer.alternatives[0].flags, HasSubstr("--session-len 3904 --cache-max-entry-count "));
  PlanInput long_answers = input;
  long_answers.limit_bytes = kGiB;
  EXPECT_THAT(fit_question(long_answers, {2, 500, 100}).value().alternatives, IsEmpty());
}

TEST(Fit, BadQuestionsSayWhichFlagToChange) {
  const PlanInput input = four_gib();
  const auto error = [&](FitQuestion question) {
    const Status status = fit_question(input, question).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    return status.message();
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const int64_t bad : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min(), kMost}) {
    EXPECT_THAT(error({bad, 1, 1}), HasSubstr("--for " + std::to_string(bad)));
    EXPECT_THAT(error({1, bad, 1}), HasSubstr("--prompt " + std::to_string(bad)));
    EXPECT_THAT(error({1, 1, bad}), HasSubstr("--output " + std::to_string(bad)));
  }
  EXPECT_THAT(error({1, 4096, 1}), HasSubstr("make 4097 tokens, above --session-len 4096: raise --session-len"));
  EXPECT_TRUE(fit_question(input, {1, 4095, 1}).ok());
  EXPECT_EQ(error({17, 1, 1}), "--for 17 is above --max-batch-size 16: raise --max-batch-size");
  PlanInput broken = input;
  broken.kv_block_bytes = 0;
  EXPECT_EQ(fit_question(broken, {1, 1, 1}).status().code(), Code::kInvalidArgument);
}

TEST(Fit, HugeNumbersNeverWrapRound) {
  PlanInput input = four_gib();
  input.fixed_lines_at = nullptr;
  input.session_tokens = int64_t{1} << 40;
  input.max_batch = std::numeric_limits<int>::max();
  EXPECT_THAT(fit_question(input, {1 << 30, 1 << 30, 1 << 30}).status().message(), HasSubstr("lower --for"));
  input.session_tokens = 4096;
  input.kv_block_bytes = uint64_t{1} << 62;
  const FitAnswer answer = fit_question(input, {1 << 20, 4000, 96}).value();
  EXPECT_FALSE(answer.fits);
  EXPECT_GT(answer.missing_bytes, uint64_t{1} << 63);
  input = four_gib();
  input.fixed_lines = {{"a", ~uint64_t{0}, ""}, {"b", ~uint64_t{0}, ""}};
  input.fixed_lines_at = nullptr;
  EXPECT_FALSE(fit_question(input, {1, 1, 1}).value().fits);
}

TEST(Fit, JsonIsThePlansWithTheAnswer) {
  PlanInput input = four_gib();
  const MemoryPlan plan = plan_as_given(input).value();
  const std::string base = plan_json(plan);
  const FitAnswer yes = fit_question(input, {2, 500, 100}).value();
  EXPECT_EQ(fit_json(&plan, yes),
            base.substr(0, base.size() - 1) +
                ",\"answer\":{\"fits\":true,\"sequences\":2,\"prompt_tokens\":500,\"output_tokens\":100,"
                "\"blocks_needed\":64,\"sequences_as_set\":16,\"ratio\":0.04,"
                "\"flags\":\"--cache-max-entry-count 0.04\",\"total_bytes\":" +
                std::to_string(yes.total_bytes) + ",\"missing_bytes\":0,\"alternatives\":[]}}");
  input.limit_bytes = kGiB;
  input.variants = {{"--small 1", {{"weights", kMiB, ""}}, kMiB}};
  const FitAnswer no = fit_question(input, {2, 500, 100}).value();
  EXPECT_EQ(fit_json(nullptr, no),
            "{\"answer\":{\"fits\":false,\"sequences\":2,\"prompt_tokens\":500,\"output_tokens\":100,"
            "\"blocks_needed\":64,\"sequences_as_set\":0,\"ratio\":null,\"flags\":null,\"total_bytes\":null,"
            "\"missing_bytes\":1140850688,\"alternatives\":[{\"flags\":\"--small 1 --cache-max-entry-count 0.07\","
            "\"total_bytes\":" + std::to_string(no.alternatives.at(0).total_bytes) + "}]}}");
}

}  // namespace
}  // namespace weir
