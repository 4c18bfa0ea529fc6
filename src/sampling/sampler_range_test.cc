// No value that the API accepts may fail a row or choose a token that it must not: every parameter at the ends of
// its range and at what floats hide there, on every kind of row that a model may give.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "sampling/sampler.h"

namespace weir {
namespace {

using Limits = std::numeric_limits<float>;
constexpr float kBannedByModel = -Limits::infinity();

template <class T, size_t n>
T any(const T (&values)[n], std::mt19937* random) {
  return values[(*random)() % n];
}

std::vector<float> any_row(size_t vocab, std::mt19937* random) {
  constexpr float kScales[] = {0, 1, 30, 1e30f, Limits::max(), Limits::min(), Limits::denorm_min()};
  const float scale = any(kScales, random);
  std::vector<float> row(vocab);
  for (float& x : row) x = scale * std::uniform_real_distribution<float>(-1, 1)(*random);
  for (float& x : row) {
    if ((*random)() % 8 == 0) x = (*random)() % 2 != 0 ? scale : -scale;
    if ((*random)() % 8 == 0) x = kBannedByModel;
  }
  row[(*random)() % vocab] = scale;  // one at least is finite
  return row;
}

SamplingParams any_params(int32_t vocab, std::mt19937* random) {
  constexpr float kTemperatures[] = {0, Limits::denorm_min(), Limits::min(), 1e-3f, 1, 2, 100};
  constexpr float kTopP[] = {0, Limits::denorm_min(), Limits::min(), 0.5f, 1 - Limits::epsilon() / 2, 1};
  constexpr float kMinP[] = {0, Limits::denorm_min(), 1e-30f, 0.5f, 1 - Limits::epsilon() / 2, 1};
  constexpr float kRepetition[] = {Limits::denorm_min(), Limits::min(), 1e-38f, 0.5f, 1, 10};
  constexpr float kAdditive[] = {-2, -Limits::denorm_min(), 0, Limits::denorm_min(), 2};
  constexpr float kBiases[] = {-100, -Limits::denorm_min(), Limits::min(), 100};
  const int32_t top_k[] = {0, 1, 2, vocab, std::numeric_limits<int32_t>::max()};
  SamplingParams params;
  params.temperature = any(kTemperatures, random);
  params.top_p = any(kTopP, random);
  params.min_p = any(kMinP, random);
  params.top_k = any(top_k, random);
  params.repetition_penalty = any(kRepetition, random);
  params.presence_penalty = any(kAdditive, random);
  params.frequency_penalty = any(kAdditive, random);
  params.seed = (*random)();
  params.top_logprobs = static_cast<int32_t>((*random)() % 22) - 1;
  params.min_tokens = static_cast<int32_t>((*random)() % 3) * 1000;
  if ((*random)() % 2 != 0) {
    for (int32_t id = 0; id < vocab; ++id) {
      if ((*random)() % 3 != 0) params.logit_bias.push_back({id, any(kBiases, random)});
    }
  }
  return params;
}

std::vector<int32_t> any_ids(int32_t vocab, size_t most, std::mt19937* random) {
  std::vector<int32_t> ids((*random)() % (most + 1));
  for (int32_t& id : ids) id = static_cast<int32_t>((*random)() % static_cast<uint32_t>(vocab));
  return ids;
}

void expect_sound(const TokenEvent& event, const std::vector<float>& row, const SamplingParams& params) {
  ASSERT_GE(event.token, 0);
  ASSERT_LT(static_cast<size_t>(event.token), row.size());
  EXPECT_FALSE(std::isnan(event.logprob));
  ASSERT_LE(event.top_count, std::max(params.top_logprobs, 0));
  for (int32_t i = 0; i < event.top_count; ++i) EXPECT_FALSE(std::isnan(event.top[static_cast<size_t>(i)].logprob));
}

TEST(SamplerRange, NoAcceptedValueFailsARow) {
  std::mt19937 random(20261130);
  SamplerScratch scratch(300);
  for (int round = 0; round < 20000; ++round) {
    constexpr int32_t kVocabs[] = {1, 2, 17, 257, 300};
    const int32_t vocab = any(kVocabs, &random);
    const std::vector<float> row = any_row(static_cast<size_t>(vocab), &random);
    SamplingParams params = any_params(vocab, &random);
    const std::vector<int32_t> prompt = any_ids(vocab, 40, &random), output = any_ids(vocab, 40, &random);
    const std::vector<int32_t> eos = any_ids(vocab, 2, &random);
    params.stop_token_ids = any_ids(vocab, 64, &random);
    std::vector<float> logits = row;
    TokenEvent event;
    ASSERT_TRUE(
        sample_row({.logits = logits, .params = &params, .prompt = prompt, .output = output, .eos_ids = eos},
                   &scratch, &event))
        << "round " << round << " temperature " << params.temperature << " top_p " << params.top_p << " repetition "
        << params.repetition_penalty << " vocabulary " << vocab;
    ASSERT_NO_FATAL_FAILURE(expect_sound(event, row, params)) << "round " << round;
    ASSERT_GT(row[static_cast<size_t>(event.token)], kBannedByModel) << "round " << round;
  }
}

TEST(Faults, legal_parameter_gives_500) {
  SamplerScratch scratch(8);
  const std::vector<int32_t> prompt = {0, 2};
  for (const float penalty : {1e-38f, Limits::min(), Limits::denorm_min()}) {
    SamplingParams params;
    params.temperature = 0;
    params.repetition_penalty = penalty;
    std::vector<float> logits = {1, 50, 60, -1, 2, 3, 4, 5};
    TokenEvent event;
    ASSERT_TRUE(sample_row({.logits = logits, .params = &params, .prompt = prompt}, &scratch, &event)) << penalty;
    EXPECT_TRUE(event.token == 0 || event.token == 2)
        << "a penalty below 1 favours what was said, got " << event.token;
  }
}

TEST(Faults, top_p_zero) {
  SamplerScratch scratch(8);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SamplingParams params;
    params.temperature = 2;
    params.top_p = 0;
    params.seed = seed;
    std::vector<float> logits = {1, 1.5f, 1.4f, 1.5f};
    TokenEvent event;
    ASSERT_TRUE(sample_row({.logits = logits, .params = &params}, &scratch, &event));
    ASSERT_EQ(event.token, 1) << "greedy, the lowest of equals";
  }
}

// min_tokens forbids every token that a small vocabulary has: the row is sampled all the same.
TEST(SamplerRange, BansThatLeaveNothingDoNotFail) {
  SamplerScratch scratch(4);
  SamplingParams params;
  params.min_tokens = 5;
  params.stop_token_ids = {0, 1, 2};
  const std::vector<int32_t> eos = {3};
  for (const float temperature : {0.0f, 1.0f}) {
    params.temperature = temperature;
    std::vector<float> logits = {1, 2, 3, 4};
    TokenEvent event;
    EXPECT_TRUE(sample_row({.logits = logits, .params = &params, .eos_ids = eos}, &scratch, &event));
  }
  params.stop_token_ids = {0, 2};
  for (int round = 0; round < 100; ++round) {
    params.seed = static_cast<uint64_t>(round);
    std::vector<float> logits = {90, -90, 80, 70};
    TokenEvent event;
    ASSERT_TRUE(sample_row({.logits = logits, .params = &params, .eos_ids = eos}, &scratch, &event));
    ASSERT_EQ(event.token, 1) << "the one that is left";
  }
}

}  // namespace
}  // namespace weir
