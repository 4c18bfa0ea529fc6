// The sampler beside a plain reference: every weight computed one by one, everything sorted, sums from left to right. The
// two must choose the same token, bit for bit, with each instruction set's kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "sampling/portable_log.h"
#include "sampling/sampler.h"

namespace weir {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<const rows::RowKernels*> all_kernels() {
  std::vector<const rows::RowKernels*> out = {rows::portable_kernels()};
#if defined(__x86_64__)
  if (rows::avx2_kernels() != nullptr && __builtin_cpu_supports("avx2")) out.push_back(rows::avx2_kernels());
  if (rows::avx512_kernels() != nullptr && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw"))
    out.push_back(rows::avx512_kernels());
#endif
  return out;
}

// row_kernels.h as scalar code.
double reference_weight(float x, float largest, float inverse, float least, size_t length) {
  const float z = (x - largest) * inverse;
  if (!(z >= std::max(least, -86.0f))) return 0;
  const float t = z * 0x1.715476p+0f + 12582912.0f;
  const float n = t - 12582912.0f;
  const float r = (z - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
  float p = r * (1.0f / 5040) + 1.0f / 720;
  for (const float c : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
  const float e = std::ldexp(p, static_cast<int>(n));
  const int bits = std::max(2, static_cast<int>(std::bit_width(length - 1)));
  return std::ldexp(std::nearbyint(std::ldexp(static_cast<double>(e), 53 - bits)), bits - 53);
}

int32_t reference_draw(const std::vector<float>& logits, const SamplingParams& params) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  const float inverse = std::min(1 / params.temperature, std::numeric_limits<float>::max());
  const float least = params.min_p > 0 ? static_cast<float>(portable_log(static_cast<double>(params.min_p))) : -kInfinity;
  std::vector<int32_t> order;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > -kInfinity && (logits[i] - largest) * inverse >= least) order.push_back(static_cast<int32_t>(i));
  }
  const auto at = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  const auto weight = [&](int32_t id) { return reference_weight(at(id), largest, inverse, least, logits.size()); };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return at(a) > at(b); });
  if (params.top_k > 0 && order.size() > static_cast<size_t>(params.top_k)) order.resize(static_cast<size_t>(params.top_k));
  double total = 0, mass = 0;
  for (const int32_t id : order) total += weight(id);
  if (params.top_p < 1) {
    size_t keep = 0;
    while (keep < order.size() && mass < static_cast<double>(params.top_p) * total) mass += weight(order[keep++]);
    order.resize(keep);
  } else {
    mass = total;
  }
  std::sort(order.begin(), order.end());
  const double target = uniform_draw(params.seed, 0, 0) * mass;
  double sum = 0;
  for (const int32_t id : order) {
    sum += weight(id);
    if (sum > target) return id;
  }
  return -1;
}

// Rows of every kind that a model or an attacker may produce.
std::vector<float> make_row(int kind, size_t length, std::mt19937* random) {
  std::normal_distribution<float> bell(0, 3);
  std::vector<float> row(length);
  for (float& x : row) x = bell(*random);
  const auto some = [&] { return (*random)() % length; };
  switch (kind) {
    case 0: break;                                                      // a bell
    case 1: std::fill(row.begin(), row.end(), 2.5f); break;             // all equal
    case 2: for (float& x : row) x = std::round(x); break;              // ties everywhere, zeros of both signs
    case 3: for (size_t i = 0; i < length; ++i) row[some()] = -kInfinity; break;  // many banned
    case 4: for (float& x : row) x *= 1e37f; break;                     // huge
    case 5: for (float& x : row) x *= 1e-40f; break;                    // subnormal
    case 6: row[some()] = 80; break;                                    // one that leaves nothing to the others
    case 7: for (float& x : row) x = x > 6 ? x + 10 : x; break;         // a model's: few far above many
    case 8: std::fill(row.begin(), row.end(), -kInfinity); row[some()] = -1e30f; break;  // one alone
    case 10:  // every 16th high: a sample with that stride misleads
      for (size_t i = 0; i < length; i += 16) row[i] += 40;
      break;
    default: for (float& x : row) x = 1 + x * 1e-6f; break;             // all but equal
  }
  return row;
}

SamplingParams make_params(std::mt19937* random) {
  constexpr float kTemperatures[] = {0.01f, 0.3f, 0.8f, 1, 2, 100, 1e-42f};
  constexpr float kTopP[] = {1, 1e-6f, 0.1f, 0.5f, 0.9f, 0.99f, 0.9999999f};
  constexpr float kMinP[] = {0, 0, 1e-30f, 0.01f, 0.3f, 1};
  constexpr int32_t kTopK[] = {0, 1, 2, 50, 600, 1'000'000};
  SamplingParams params;
  params.temperature = kTemperatures[(*random)() % 7];
  params.top_p = kTopP[(*random)() % 7];
  params.min_p = kMinP[(*random)() % 6];
  params.top_k = kTopK[(*random)() % 6];
  params.seed = (*random)();
  return params;
}

TEST(SamplerReference, ChoosesTheSameTokenWithEveryKernel) {
  std::mt19937 random(11);
  std::vector<SamplerScratch> scratch;
  for (const rows::RowKernels* kernels : all_kernels()) scratch.emplace_back(5000, kernels);
  for (int round = 0; round < 1200; ++round) {
    constexpr size_t kLengths[] = {1, 2, 17, 255, 256, 257, 1000, 4999};
    const std::vector<float> row = make_row(round % 11, kLengths[random() % 8], &random);
    const SamplingParams params = make_params(&random);
    const bool all_banned = *std::max_element(row.begin(), row.end()) == -kInfinity;
    const int32_t expected = all_banned ? -1 : reference_draw(row, params);
    ASSERT_EQ(expected < 0, all_banned) << "round " << round;
    for (size_t k = 0; k < scratch.size(); ++k) {
      std::vector<float> logits = row;
      TokenEvent event;
      ASSERT_EQ(sample_row({.logits = logits, .params = &params}, &scratch[k], &event), !all_banned);
      if (all_banned) continue;
      ASSERT_EQ(event.token, expected)
          << "round " << round << " kernels " << k << " length " << row.size() << " temperature " << params.temperature
          << " top_k " << params.top_k << " top_p " << params.top_p << " min_p " << params.min_p;
    }
  }
}

// A whole vocabulary, where the blocks' maxima bound the search.
TEST(SamplerReference, AgreesOnAWholeVocabulary) {
  std::mt19937 random(5);
  SamplerScratch scratch(151'936);
  for (const int kind : {0, 2, 7, 10}) {
    const std::vector<float> row = make_row(kind, 151'936, &random);
    for (const auto& [top_k, top_p] : {std::pair{50, 0.9f}, {0, 0.9f}, {0, 1.0f}, {3000, 0.95f}}) {
      SamplingParams params;
      params.temperature = 0.8f;
      params.top_k = top_k;
      params.top_p = top_p;
      params.seed = random();
      std::vector<float> logits = row;
      TokenEvent event;
      ASSERT_TRUE(sample_row({.logits = logits, .params = &params}, &scratch, &event));
      EXPECT_EQ(event.token, reference_draw(row, params)) << "kind " << kind << " top_k " << top_k << " top_p " << top_p;
    }
  }
}

// Not the reference's arithmetic but the library's: the weights are e^z.
TEST(SamplerReference, WeightsAreExponentials) {
  std::vector<float> logits(3000), weights(3000);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -0.01f * static_cast<float>(i);
  for (const rows::RowKernels* kernels : all_kernels()) {
    kernels->weigh({.logits = logits.data(), .count = 3000, .largest = 0, .inverse_temperature = 1,
                    .least = -kInfinity, .rounder = rows::grid_rounder(3000)},
                   weights.data());
    const double grid = std::ldexp(1.0, 12 - 53);
    for (size_t i = 0; i < logits.size(); ++i) {
      const double exact = std::exp(static_cast<double>(logits[i]));
      ASSERT_NEAR(static_cast<double>(weights[i]), exact, 2.5e-7 * exact + grid / 2) << kernels->isa << " at " << i;
    }
  }
}

TEST(SamplerReference, NanAndInfinityAreSeenWhereverTheyStand) {
  SamplingParams params;
  for (const rows::RowKernels* kernels : all_kernels()) {
    SamplerScratch scratch(600, kernels);
    for (const float bad : {std::nanf(""), kInfinity}) {
      for (size_t at = 0; at < 600; at += 7) {
        std::vector<float> logits(600, 1.0f);
        logits[at] = bad;
        TokenEvent event;
        EXPECT_FALSE(sample_row({.logits = logits, .params = &params}, &scratch, &event)) << kernels->isa << " at " << at;
      }
    }
  }
}

TEST(SamplerReference, LogarithmIsThatOfTheLibrary) {
  for (const double x : {1.0, 2.0, 0.5, 1.41421356, 0.70710679, 3.7, 1e-30, 1e300, 151'936.0, 1 - 1e-9}) {
    EXPECT_NEAR(portable_log(x), std::log(x), 4e-16 * std::max(1.0, std::fabs(std::log(x)))) << x;
  }
}

TEST(PrefixCut, TakesTheFirstOfEqualsAndAllWhenNothingIsEnough) {
  CutScratch scratch;
  std::vector<float> logits = {1, 3, -0.0f, 3, 0, 3};
  std::vector<int32_t> ids = {0, 1, 2, 3, 4, 5};
  EXPECT_EQ(keep_prefix(find_cut(logits, {}, 2, &scratch), logits, ids, {}), 2);
  EXPECT_EQ(ids[0], 1);
  EXPECT_EQ(ids[1], 3);
  logits = {1, 3, -0.0f, 3, 0, 3};
  ids = {0, 1, 2, 3, 4, 5};
  ASSERT_EQ(keep_prefix(find_cut(logits, {}, 5, &scratch), logits, ids, {}), 5) << "-0 and 0 are equal";
  EXPECT_EQ(ids[2], 2);
  std::vector<float> weights = {0.25f, 0.5f, 0.125f};
  logits = {2, 4, 1};
  EXPECT_EQ(find_cut(logits, weights, 0.6, &scratch).logit, 2);
  EXPECT_EQ(find_cut(logits, weights, 9, &scratch).ties, 3);
  EXPECT_EQ(find_cut(logits, weights, 9, &scratch).logit, 1);
}

}  // namespace
}  // namespace weir
