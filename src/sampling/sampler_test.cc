#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace weir {
namespace {

struct SamplerTest : testing::Test {
  SamplerScratch scratch{64};
  SamplingParams params;
  std::vector<int32_t> prompt, output, eos;

  TokenEvent sample(std::vector<float> logits, bool expect_ok = true) {
    TokenEvent event;
    const bool ok = sample_row({.logits = logits, .params = &params, .prompt = prompt, .output = output, .eos_ids = eos},
                               &scratch, &event);
    EXPECT_EQ(ok, expect_ok);
    return event;
  }
  // Frequencies of tokens over many positions.
  std::map<int32_t, double> frequencies(const std::vector<float>& logits, int draws = 20000) {
    std::map<int32_t, double> count;
    for (int i = 0; i < draws; ++i) {
      params.seed = static_cast<uint64_t>(i);
      count[sample(logits).token] += 1.0 / draws;
    }
    return count;
  }
};

TEST_F(SamplerTest, GreedyTakesTheLowestOfEquals) {
  params.temperature = 0;
  EXPECT_EQ(sample({1, 3, 3, 2}).token, 1);
}

TEST_F(SamplerTest, BadRowsFailAlone) {
  params.temperature = 0;
  sample({1, std::nanf(""), 2}, false);
  const float banned = -std::numeric_limits<float>::infinity();
  sample({banned, banned}, false);
}

TEST_F(SamplerTest, TemperatureOneFollowsTheDistribution) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto seen = frequencies(logits);
  EXPECT_NEAR(seen.at(0), 0.5, 0.02);
  EXPECT_NEAR(seen.at(1), 0.3, 0.02);
  EXPECT_NEAR(seen.at(2), 0.2, 0.02);
}

TEST_F(SamplerTest, TopKTopPAndMinPCutTheTail) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  params.top_k = 2;
  auto seen = frequencies(logits);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen.at(1), 0.625, 0.02);
  params.top_k = 0;
  params.top_p = 0.79f;  // 0.5 is not enough, 0.5 + 0.3 is
  seen = frequencies(logits);
  EXPECT_EQ(seen.size(), 2u);
  params.top_p = 1;
  params.min_p = 0.5f;  // 0.3 >= 0.5 x 0.5 stays, 0.1 goes
  seen = frequencies(logits);
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(SamplerTest, FiltersAgreeWithASortedReference) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logits(64);
    for (float& x : logits) x = std::normal_distribution<float>(0, 3)(random);
    params.top_k = static_cast<int32_t>(random() % 70);
    params.top_p = 0.05f + 0.95f * static_cast<float>(random() % 100) / 100;
    params.temperature = 0.2f + static_cast<float>(random() % 20) / 10;
    params.seed = random();
    std::vector<int32_t> order(64);
    for (int i = 0; i < 64; ++i) order[static_cast<size_t>(i)] = i;
    std::sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
    if (params.top_k > 0 && params.top_k < 64) order.resize(static_cast<size_t>(params.top_k));
    double total = 0, mass = 0;
    const auto weight = [&](int id) { return std::exp((logits[id] - logits[order[0]]) / params.temperature); };
    for (const int id : order) total += weight(id);
    size_t keep = 0;
    while (keep < order.size() && mass < params.top_p * total) mass += weight(order[keep++]);
    const int32_t token = sample(logits).token;
    const auto at = std::find(order.begin(), order.end(), token) - order.begin();
    EXPECT_LT(static_cast<size_t>(at), keep + 1) << "round " << round;
  }
}

TEST_F(SamplerTest, PenaltiesFollowTheirRules) {
  params.temperature = 0;
  params.repetition_penalty = 2;
  prompt = {0, 0};
  EXPECT_EQ(sample({4, 3, -1}).token, 1) << "4/2 < 3, once though it stands twice";
  prompt = {1};
  EXPECT_EQ(sample({-3, -2}).token, 0) << "negative logits are multiplied";
  params.repetition_penalty = 1;
  prompt = {0};
  params.frequency_penalty = 1;
  EXPECT_EQ(sample({4, 3.5f}).token, 0) << "the prompt does not count for OpenAI's penalties";
  output = {0, 0};
  EXPECT_EQ(sample({5, 3.5f}).token, 1) << "5 - 2 < 3.5";
  params.frequency_penalty = 0;
  params.presence_penalty = 1;
  EXPECT_EQ(sample({5, 3.5f}).token, 0) << "presence counts once";
}

TEST_F(SamplerTest, BiasAndMinTokens) {
  params.temperature = 0;
  params.logit_bias = {{2, 10}, {999999, 5}, {-1, 5}};
  EXPECT_EQ(sample({1, 2, 0}).token, 2);
  params.logit_bias.clear();
  eos = {1};
  params.min_tokens = 1;
  EXPECT_EQ(sample({1, 2, 0}).token, 0);
  output = {0};
  EXPECT_EQ(sample({1, 2, 0}).token, 1);
}

TEST_F(SamplerTest, LogprobsAreRawAndSorted) {
  params.temperature = 0;
  params.top_logprobs = 2;
  params.logit_bias = {{0, 100}};
  const TokenEvent event = sample({std::log(0.2f), std::log(0.5f), std::log(0.3f)});
  EXPECT_EQ(event.token, 0);
  EXPECT_NEAR(event.logprob, std::log(0.2), 1e-5);
  ASSERT_EQ(event.top_count, 2);
  EXPECT_EQ(event.top[0].token, 1);
  EXPECT_NEAR(event.top[0].logprob, std::log(0.5), 1e-5);
  EXPECT_EQ(event.top[1].token, 2);
}

TEST_F(SamplerTest, DrawDependsOnSeedChoiceAndPositionAlone) {
  EXPECT_EQ(uniform_draw(1, 2, 3), uniform_draw(1, 2, 3));
  EXPECT_NE(uniform_draw(1, 2, 3), uniform_draw(1, 3, 3));
  EXPECT_NE(uniform_draw(1, 2, 3), uniform_draw(1, 2, 4));
  double mean = 0;
  for (int i = 0; i < 10000; ++i) mean += uniform_draw(5, 0, static_cast<uint64_t>(i)) / 10000;
  EXPECT_NEAR(mean, 0.5, 0.02);
}

// What is given is taken as it is, its logprob is the row's, and what is drawn behind it is what would be drawn at
// its beginning: neither seeds nor counts see it, but for the repetition penalty.
TEST_F(SamplerTest, ScoredTokensAreGivenAndCountForNothing) {
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  params.top_logprobs = 1;
  params.logit_bias = {{1, 100}};
  params.scored = {2, 0};
  TokenEvent event = sample(logits);
  EXPECT_EQ(event.token, 2);
  EXPECT_NEAR(event.logprob, std::log(0.3), 1e-5);
  EXPECT_EQ(event.top[0].token, 1);
  output = {2};
  EXPECT_EQ(sample(logits).token, 0);
  params.logit_bias.clear();
  params.presence_penalty = 2;
  params.min_tokens = 1;
  eos = {2};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    params.seed = seed;
    params.scored = {2, 0};
    output = {2, 0};
    const int32_t behind = sample(logits).token;
    params.scored.clear();
    output.clear();
    ASSERT_EQ(behind, sample(logits).token) << "seed " << seed;
  }
}

}  // namespace
}  // namespace weir
