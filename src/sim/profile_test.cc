// Step times: the roofline's two roofs, the fit of measured points, bad profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "schedule/step.h"
#include "sim/profile.h"

namespace weir::sim {
namespace {

using ::testing::HasSubstr;

TEST(Roofline, ADecodeAloneReadsTheWeightsOnce) {
  RooflineOptions options{.bandwidth_share = 1, .peak_share = 1, .overhead_us = 0};
  const auto profile = make_roofline("H200", "8b", options);
  ASSERT_TRUE(profile.ok()) << profile.status().message();
  // 8.03e9 parameters x 2 bytes / 4.8 TB/s = 3.346 ms; a token's KV is 2 x 32 x 1024 x 2 = 131072 bytes.
  EXPECT_EQ((*profile)->step_us({1, 1, 1, 1}), 3345);
  const double context_us = (8.03e9 * 2 + 1e6 * 131072) / 4.8e12 * 1e6;
  EXPECT_EQ((*profile)->step_us({1, 1, 1'000'000, 1'000'000}), static_cast<Micros>(context_us));
  // A long prefill is bound by operations: 2 x 8.03e9 x 8192 + 4 x 32 x 4096 x 8192 x 8193 / 2.
  const double operations = 2 * 8.03e9 * 8192 + 4.0 * 32 * 4096 * (8192.0 * 8193 / 2);
  EXPECT_EQ((*profile)->step_us({8192, 1, 8192 * 8193 / 2, 8192}), static_cast<Micros>(operations / 989e12 * 1e6));
  EXPECT_EQ((*profile)->kv_tokens(), static_cast<int64_t>((141e9 * 0.9 - 16.06e9) / 131072));
}

TEST(Roofline, UnknownNamesListTheKnownOnes) {
  EXPECT_THAT(make_roofline("b9000", "8B", {}).status().message(), HasSubstr("choose one of h200, h100"));
  EXPECT_THAT(make_roofline("h100", "9B", {}).status().message(), HasSubstr("choose one of 0.5B"));
  EXPECT_EQ(make_roofline("l4", "70B", {}).status().code(), Code::kFailedPrecondition);
}

TEST(Measured, AnExactModelIsFoundAgain) {
  const auto truth = [](const StepShape& shape) {
    return 500 + 40.0 * static_cast<double>(shape.tokens) + 9 * static_cast<double>(shape.samples) +
           0.02 * static_cast<double>(shape.attended_tokens) + 0.5 * static_cast<double>(shape.context_tokens);
  };
  std::vector<MeasuredPoint> points;
  for (const int64_t tokens : {1, 4, 16, 64, 256}) {
    for (const int64_t context : {64, 512, 2048}) {
      const StepShape decode{tokens, tokens, tokens * context, tokens * context},
          prefill{tokens, 1, tokens * context, context};
      points.push_back({decode, truth(decode)});
      points.push_back({prefill, truth(prefill)});
    }
  }
  const auto profile = fit_profile(points, "test", 0);
  ASSERT_TRUE(profile.ok()) << profile.status().message();
  for (const StepShape& shape : {StepShape{8, 8, 800, 800}, {100, 1, 5000, 300}, {300, 3, 100000, 1000}}) {
    EXPECT_NEAR(static_cast<double>((*profile)->step_us(shape)), truth(shape), 0.02 * truth(shape));
  }
  EXPECT_THAT((*profile)->description(), HasSubstr("30 points"));
}

TEST(Measured, ACostThatComesOutNegativeIsNone) {
  const auto profile = fit_profile(
      {{{1, 1, 10, 10}, 100}, {{1, 1, 1000, 1000}, 90}, {{8, 1, 10, 10}, 200}, {{8, 8, 10, 10}, 150}}, "test", 0);
  ASSERT_TRUE(profile.ok());
  EXPECT_GE((*profile)->step_us({8, 8, 1'000'000, 1'000'000}), (*profile)->step_us({8, 8, 10, 10}));
  EXPECT_GE((*profile)->step_us({1, 1, 1 << 30, 1 << 30}), 1);
}

std::string message_of(const std::string& text) {
  const std::string path = ::testing::TempDir() + "weir_profile_test.toml";
  std::ofstream(path) << text;
  const auto profile = read_profile(path);
  std::remove(path.c_str());
  return profile.ok() ? "" : profile.status().message();
}

TEST(Measured, BadFilesSayWhatIsWrong) {
  EXPECT_EQ(
      message_of("machine = \"m\"\nmodel = \"x\"\nkv-tokens = 100\npoints = [\"1 1 1 1 10\", \"2 1 3 2 20.5\"]\n"),
      "");
  EXPECT_THAT(message_of("machine = \"m\"\n"), HasSubstr("points is missing"));
  EXPECT_THAT(message_of("points = [\"1 1 1 1 10\"]\n"), HasSubstr("needs 2 to 64 different numbers of tokens"));
  EXPECT_THAT(message_of("points = [\"1 1 1 1 10\", \"1 1 1\"]\n"),
              HasSubstr("point 2: '1 1 1': write five numbers"));
  EXPECT_THAT(message_of("points = [\"0 1 1 1 10\"]\n"), HasSubstr("point 1"));
  EXPECT_THAT(message_of("points = [\"1 1 1 1 -10\"]\n"), HasSubstr("no time in microseconds"));
  EXPECT_THAT(message_of("points = [\"1 1 1 1 nan\"]\n"), HasSubstr("no time in microseconds"));
  EXPECT_THAT(message_of("kv-tokens = 0\npoints = [\"1 1 1 1 10\", \"2 1 3 2 20\"]\n"), HasSubstr("kv-tokens"));
  EXPECT_THAT(message_of("points = 3 3\n"), HasSubstr(":1: "));
  EXPECT_EQ(read_profile("no/such/file.toml").status().code(), Code::kNotFound);
}

TEST(Shape, OfAStepCountsWhatIsLookedAt) {
  Step step;
  step.sequences.push_back({.token_count = 3, .position_begin = 10, .samples = false});
  step.sequences.push_back({.token_count = 1, .position_begin = 7, .samples = true});
  const StepShape shape = shape_of(step);
  EXPECT_EQ(shape.tokens, 4);
  EXPECT_EQ(shape.samples, 1);
  EXPECT_EQ(shape.attended_tokens, 11 + 12 + 13 + 8);
  EXPECT_EQ(shape.context_tokens, 13 + 8);
}

}  // namespace
}  // namespace weir::sim
