#include "schedule/start_forecast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/counting_resource.h"

namespace weir {
namespace {

constexpr Micros kStepUs = 10'000;

// A step takes 10 ms whatever it decodes, and 10 us more for each token of prefill.
const StepTimeModel& flat_model() {
  static const StepTimeModel model(StepCosts{.fixed = kStepUs, .prefill_token = 10});
  return model;
}

ForecastLoad load_of(int places, int sequences, int64_t step_tokens = 1'000) {
  return {.places = places, .sequences = sequences, .step_tokens = step_tokens};
}

TEST(StartForecast, AnEmptyServerStartsAtOnce) {
  StartForecast forecast(4, &flat_model());
  EXPECT_EQ(forecast.newcomer(0, 100).start_in_us, 0) << "before anything is known";
  forecast.begin(load_of(4, 0));
  const StartTimes times = forecast.add_waiting({.prompt_tokens = 999, .output_tokens = 10});
  EXPECT_EQ(times.start_in_us, 0);
  EXPECT_EQ(times.first_token_in_us, kStepUs + 9'990) << "one step with the whole prompt";
}

TEST(StartForecast, PlacesBindWhereAnswersAreLong) {
  StartForecast forecast(2, &flat_model());
  forecast.begin(load_of(2, 5));
  forecast.add_running({.remaining_tokens = 30});
  forecast.add_running({.remaining_tokens = 100});
  EXPECT_NEAR(static_cast<double>(forecast.add_waiting({.output_tokens = 20}).start_in_us), 30 * kStepUs, kStepUs);
  EXPECT_NEAR(static_cast<double>(forecast.add_waiting({.output_tokens = 20}).start_in_us), 50 * kStepUs, kStepUs);
  EXPECT_NEAR(static_cast<double>(forecast.add_waiting({.output_tokens = 20}).start_in_us), 70 * kStepUs, kStepUs);
  EXPECT_NEAR(static_cast<double>(forecast.newcomer(0, 1).start_in_us), 90 * kStepUs, kStepUs);
}

TEST(StartForecast, TheTokenRateBindsWherePromptsAreLong) {
  StartForecast forecast(64, &flat_model());
  forecast.begin({.places = 64, .sequences = 64, .step_tokens = 164});  // 100 tokens of prefill a step
  Micros before = 0;
  for (int i = 1; i <= 10; ++i) {
    const StartTimes times = forecast.add_waiting({.prompt_tokens = 1'000, .output_tokens = 5});
    EXPECT_EQ(times.start_in_us, 0) << "there are places";
    EXPECT_NEAR(static_cast<double>(times.first_token_in_us - before), 10 * kStepUs + 10'000, 10) << i;
    before = times.first_token_in_us;
  }
  forecast.begin({.places = 64, .sequences = 64, .step_tokens = 164, .prefill_tokens_max = 50});
  EXPECT_NEAR(static_cast<double>(forecast.add_waiting({.prompt_tokens = 1'000}).first_token_in_us),
              20 * kStepUs + 10'000, 10)
      << "smaller chunks take more steps";
}

TEST(StartForecast, PrefillUnderWayDelaysWhatComesAfter) {
  StartForecast forecast(2, &flat_model());
  forecast.begin(load_of(2, 3, 102));
  forecast.add_running({.pending_prefill_tokens = 1'000, .remaining_tokens = 10});
  const StartTimes times = forecast.add_waiting({.prompt_tokens = 100, .output_tokens = 1'000});
  EXPECT_EQ(times.start_in_us, 0);
  EXPECT_NEAR(static_cast<double>(times.first_token_in_us), 11 * kStepUs + 11'000, 10);
  EXPECT_NEAR(static_cast<double>(forecast.newcomer(0, 1).start_in_us), 20 * kStepUs + 11'000, 10)
      << "ten steps of prefill and ten of decode";
}

TEST(StartForecast, ANewcomerStandsBehindItsClassAndHigherOnes) {
  StartForecast forecast(1, &flat_model());
  forecast.begin(load_of(1, 4));
  forecast.add_running({.remaining_tokens = 10});
  forecast.add_waiting({.output_tokens = 10, .class_index = 0});
  forecast.add_waiting({.output_tokens = 10, .class_index = 1});
  forecast.add_waiting({.output_tokens = 100, .class_index = 2});
  const double first = static_cast<double>(forecast.newcomer(0, 1).start_in_us) / kStepUs;
  const double second = static_cast<double>(forecast.newcomer(1, 1).start_in_us) / kStepUs;
  const double third = static_cast<double>(forecast.newcomer(2, 1).start_in_us) / kStepUs;
  EXPECT_NEAR(first, 20, 1);
  EXPECT_NEAR(second, 30, 1);
  EXPECT_NEAR(third, 130, 1);
  EXPECT_EQ(forecast.newcomer(7, 1).start_in_us, forecast.newcomer(2, 1).start_in_us);
  EXPECT_EQ(forecast.newcomer(-3, 1).start_in_us, forecast.newcomer(0, 1).start_in_us);
}

TEST(StartForecast, WhatRunsBeyondAShrunkenLimitGivesNoPlace) {
  StartForecast forecast(4, &flat_model());
  forecast.begin(load_of(2, 5));
  for (const int64_t remaining : {10, 20, 30, 40}) forecast.add_running({.remaining_tokens = remaining});
  EXPECT_EQ(forecast.add_waiting({.output_tokens = 5}).start_in_us, 30 * kStepUs);
}

TEST(StartForecast, WithNobodyWaitingANewcomerWaitsForThePlacesAlone) {
  StartForecast forecast(1, &flat_model());
  forecast.begin(load_of(1, 2));
  forecast.add_running({.remaining_tokens = 10});
  EXPECT_EQ(forecast.newcomer(0, 1).start_in_us, 10 * kStepUs);
}

// The fluid model against a step loop that is simulated token by token.
TEST(StartForecast, AgreesWithAStepLoop) {
  std::mt19937_64 random(11);
  const auto between = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int round = 0; round < 20; ++round) {
    const int places = static_cast<int>(between(1, 8));
    std::vector<ForecastWaiting> waiting(60);
    for (auto& one : waiting) one = {.prompt_tokens = between(1, 800), .output_tokens = between(1, 60)};
    StartForecast forecast(places, &flat_model());
    const int64_t chunk = between(20, 400);
    forecast.begin(load_of(places, 60, chunk + places));
    struct Place {
      int64_t prefill = 0, output = 0;
      size_t who = 0;
    };
    std::vector<Place> running;
    std::vector<double> start(waiting.size());
    double now = 0;
    for (size_t next = 0; next < waiting.size() || !running.empty();) {
      while (next < waiting.size() && running.size() < static_cast<size_t>(places)) {
        start[next] = now;
        running.push_back({waiting[next].prompt_tokens, waiting[next].output_tokens, next});
        ++next;
      }
      int64_t budget = chunk, prefilled = 0;
      for (Place& place : running) {
        if (place.prefill == 0) {
          --place.output;
          continue;
        }
        const int64_t tokens = std::min(budget, place.prefill);
        place.prefill -= tokens;
        budget -= tokens;
        prefilled += tokens;
        if (place.prefill == 0) --place.output;
      }
      std::erase_if(running, [](const Place& place) { return place.prefill == 0 && place.output <= 0; });
      now += static_cast<double>(kStepUs + 10 * prefilled);
    }
    for (size_t i = 0; i < waiting.size(); ++i) {
      const double said = static_cast<double>(forecast.add_waiting(waiting[i]).start_in_us);
      if (i == 59) {
        EXPECT_NEAR(said / start[i], 1, 0.15) << "round " << round << ", " << places << " places";
      }
    }
  }
}

TEST(StartForecast, LearnsFromHowLongTheyReallyWaited) {
  StartForecast forecast(1, &flat_model());
  forecast.begin(load_of(1, 1));
  EXPECT_EQ(forecast.calibrated(1'000'000).p50_us, 1'000'000);
  EXPECT_NEAR(static_cast<double>(forecast.calibrated(1'000'000).p90_us), 2e6, 30'000);
  std::mt19937_64 random(3);
  std::lognormal_distribution<double> factor(std::log(1.5), 0.4);
  Micros now = 1;
  for (int i = 0; i < 1'000; ++i) {
    const Quantiles told = forecast.calibrated(2'000'000);
    const StartTold one{.at_us = now, .model_in_us = 2'000'000, .p90_in_us = told.p90_us};
    forecast.started(one, now + static_cast<Micros>(2e6 * factor(random)));
    now += 1'000;
    if (i % 10 == 0) forecast.begin(load_of(1, 1));
  }
  const Quantiles told = forecast.calibrated(1'000'000);
  EXPECT_NEAR(static_cast<double>(told.p50_us), 1.5e6, 0.15e6);
  EXPECT_NEAR(static_cast<double>(told.p90_us), 1.5e6 * std::exp(0.4 * 1.2816), 0.3e6);
  EXPECT_NEAR(forecast.within_p90(), 0.9, 0.06) << "p90 means that 90 % start by then";
  EXPECT_NEAR(forecast.ratio_quantile(0.5), 1.5, 0.15);
}

TEST(StartForecast, OnlyWhatSaysSomethingIsLearnt) {
  StartForecast forecast(1, &flat_model());
  forecast.started({}, 5'000'000);
  forecast.started({.at_us = 10, .model_in_us = 0}, 15);
  forecast.started({.at_us = 10'000'000, .model_in_us = 5'000'000}, 9'000'000);
  forecast.gave_up({.at_us = 10, .model_in_us = 5'000'000}, 1'000'000);
  EXPECT_EQ(forecast.samples(), 0)
      << "never told; foreseen at once; a clock that went back; gave up before its time";
  forecast.gave_up({.at_us = 10, .model_in_us = 1'000'000}, 3'000'000);
  forecast.started({.at_us = 10, .model_in_us = 0}, 2'000'000);
  EXPECT_EQ(forecast.samples(), 2);
}

TEST(StartForecast, HostileNumbersStayInBounds) {
  StartForecast forecast(2, &flat_model());
  forecast.begin(
      {.places = -4, .sequences = -1, .step_tokens = -7, .context_tokens_mean = -1, .prompt_tokens_mean = -1});
  forecast.add_running({.pending_prefill_tokens = -1, .remaining_tokens = -1});
  const StartTimes times = forecast.add_waiting({.prompt_tokens = std::numeric_limits<int64_t>::max(),
                                                 .output_tokens = std::numeric_limits<int64_t>::max(),
                                                 .class_index = 99});
  EXPECT_GE(times.start_in_us, 0);
  EXPECT_LE(forecast.newcomer(7, 1).start_in_us, Micros{86'400'000'000});
  EXPECT_GE(forecast.newcomer(7, 1).start_in_us, times.start_in_us);
}

TEST(StartForecast, TakesFromTheArenaWhatItSays) {
  for (const int places : {1, 7, 256}) {
    CountingResource counting;
    StartForecast forecast(places, &flat_model(), &counting);
    EXPECT_EQ(counting.bytes(), StartForecast::bytes(places));
    forecast.begin(load_of(places, 10'000));
    for (int i = 0; i < places; ++i) forecast.add_running({.remaining_tokens = i});
    for (int i = 0; i < 10'000; ++i)
      forecast.add_waiting({.prompt_tokens = 100, .output_tokens = 100, .class_index = i % 3});
    EXPECT_EQ(counting.bytes(), StartForecast::bytes(places)) << "nothing after construction";
  }
}

}  // namespace
}  // namespace weir
