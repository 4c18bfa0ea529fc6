#include "schedule/step_time.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace weir {
namespace {

constexpr StepCosts kTruth{.fixed = 8'000,
                           .prefill_token = 40,
                           .prefill_context_token = 0.01,
                           .decode_sequence = 150,
                           .decode_context_token = 0.5};

double truth(const StepShape& shape, const StepCosts& cost = kTruth) {
  return cost.fixed + cost.prefill_token * static_cast<double>(shape.prefill_tokens) +
         cost.prefill_context_token * static_cast<double>(shape.prefill_context_tokens) +
         cost.decode_sequence * static_cast<double>(shape.decode_sequences) +
         cost.decode_context_token * static_cast<double>(shape.decode_context_tokens);
}

struct Steps {
  std::mt19937_64 random{7};
  double noise = 0.05;

  int64_t between(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random); }
  StepShape decodes() {
    const int64_t sequences = between(1, 32);
    return {.decode_sequences = sequences, .decode_context_tokens = sequences * between(100, 3000)};
  }
  StepShape mixed() {
    StepShape shape = decodes();
    if (between(0, 3) == 0) {
      shape.prefill_tokens = between(16, 512);
      shape.prefill_context_tokens = shape.prefill_tokens * between(0, 2000);
    }
    return shape;
  }
  Micros took(const StepShape& shape, double factor = 1) {
    return static_cast<Micros>(truth(shape) * factor * std::normal_distribution<double>(1, noise)(random));
  }
  void teach(StepTimeModel* model, int count, double factor = 1) {
    for (int i = 0; i < count; ++i) {
      const StepShape shape = mixed();
      model->observe(shape, took(shape, factor));
    }
  }
  double worst_error(const StepTimeModel& model, double factor = 1) {
    double worst = 0;
    for (int i = 0; i < 50; ++i) {
      const StepShape shape = mixed();
      worst = std::max(worst, std::abs(static_cast<double>(model.predict(shape)) / (factor * truth(shape)) - 1));
    }
    return worst;
  }
};

bool none_negative(const StepCosts& cost) {
  return cost.fixed >= 0 && cost.prefill_token >= 0 && cost.prefill_context_token >= 0 &&
         cost.decode_sequence >= 0 && cost.decode_context_token >= 0;
}

TEST(StepTime, LearnsTheCostsFromNoisySteps) {
  StepTimeModel model;
  Steps steps;
  EXPECT_EQ(model.predict(steps.decodes()), 0);
  EXPECT_FALSE(model.confident());
  steps.teach(&model, 400);
  EXPECT_TRUE(model.confident());
  EXPECT_LT(steps.worst_error(model), 0.10);
  EXPECT_LT(model.error_quantile(0.5), 0.08);
  EXPECT_LT(model.error_quantile(0.9), 0.2);
  EXPECT_NEAR(model.pace(), 1, 0.1);
  EXPECT_NEAR(model.costs().prefill_token, kTruth.prefill_token, 0.25 * kTruth.prefill_token);
}

TEST(StepTime, NoCostIsEverNegativeAndMoreWorkNeverTakesLess) {
  StepTimeModel model;
  Steps steps;
  steps.noise = 0.5;
  for (int i = 0; i < 2000; ++i) {
    const StepShape shape = steps.mixed();
    model.observe(shape, steps.took(shape));
    ASSERT_TRUE(none_negative(model.costs())) << i;
  }
  const StepShape small = steps.decodes();
  StepShape more = small;
  more.prefill_tokens = 100;
  EXPECT_GE(model.predict(more), model.predict(small));
}

TEST(StepTime, AStallDoesNotPoisonIt) {
  StepTimeModel model;
  Steps steps;
  steps.teach(&model, 300);
  const StepShape shape{.decode_sequences = 8, .decode_context_tokens = 8000};
  const auto before = static_cast<double>(model.predict(shape));
  model.observe(shape, 1'000 * static_cast<Micros>(before));
  EXPECT_NEAR(static_cast<double>(model.predict(shape)) / before, 1, 0.05);
  for (int i = 0; i < 5; ++i) model.observe(shape, 20 * static_cast<Micros>(before));
  EXPECT_NEAR(static_cast<double>(model.predict(shape)) / before, 1, 0.35) << "nor do five in a row";
  steps.teach(&model, 200);
  EXPECT_LT(steps.worst_error(model), 0.12);
}

TEST(StepTime, ASlowerMachineIsLearnt) {
  StepTimeModel model;
  Steps steps;
  steps.teach(&model, 300);
  steps.teach(&model, 12, 3);
  EXPECT_GT(model.pace(), 1.4) << "and is seen at once";
  steps.teach(&model, 800, 3);
  EXPECT_LT(steps.worst_error(model, 3), 0.2);
}

TEST(StepTime, HoursOfDecodesDoNotEraseWhatIsKnownOfPrefill) {
  StepTimeModel model;
  Steps steps;
  steps.teach(&model, 400);
  const double prefill = model.costs().prefill_token;
  for (int i = 0; i < 20'000; ++i) {
    const StepShape shape = steps.decodes();
    model.observe(shape, steps.took(shape));
  }
  EXPECT_NEAR(model.costs().prefill_token / prefill, 1, 0.2);
}

TEST(StepTime, WhatIsAbsurdIsNotLearnt) {
  StepTimeModel model;
  Steps steps;
  steps.teach(&model, 100);
  const StepShape shape = steps.decodes();
  const Micros before = model.predict(shape);
  const uint64_t seen = model.observed();
  for (const Micros took : {Micros{0}, Micros{-5}, std::numeric_limits<Micros>::min(), StepTimeModel::kTookMax + 1,
                            std::numeric_limits<Micros>::max()}) {
    model.observe(shape, took);
  }
  model.observe({}, 100);
  model.observe({.prefill_tokens = -1, .decode_sequences = 3}, 100);
  EXPECT_EQ(model.observed(), seen);
  EXPECT_EQ(model.ignored(), 7u);
  EXPECT_EQ(model.predict(shape), before);
}

TEST(StepTime, APriorIsUsedAtOnceAndGivesWay) {
  StepTimeModel model(StepCosts{.fixed = 1'000, .prefill_token = 5, .decode_sequence = 50});
  EXPECT_TRUE(model.confident());
  EXPECT_EQ(model.predict({.decode_sequences = 4}), 1'200);
  Steps steps;
  steps.teach(&model, 800);
  EXPECT_LT(steps.worst_error(model), 0.15);
  const StepTimeModel broken(StepCosts{.fixed = std::nan(""), .prefill_token = -4});
  EXPECT_FALSE(broken.confident());
  EXPECT_EQ(broken.predict({.prefill_tokens = 4}), 0);
}

TEST(StepTime, TheTimeOfOthersIsNoCostOfAStep) {
  StepTimeModel model;
  Steps steps;
  for (int i = 0; i < 600; ++i) {
    const StepShape shape = steps.mixed();
    const Micros work = steps.took(shape);
    model.observe(shape, {.wall_us = work * static_cast<Micros>(steps.between(1, 5)), .work_us = work});
  }
  const StepShape shape = steps.decodes();
  EXPECT_TRUE(model.confident());
  EXPECT_NEAR(static_cast<double>(model.predict_work(shape)) / truth(shape), 1, 0.1);
  EXPECT_NEAR(static_cast<double>(model.predict(shape)) / truth(shape), 3, 0.6)
      << "but how long it takes includes it";
  EXPECT_NEAR(model.pace(), 1, 0.5);
}

// Where the executor does not say what is work, the fastest steps do.
TEST(StepTime, UnevenStepsAreJudgedByTheFastest) {
  StepTimeModel model;
  Steps steps;
  for (int i = 0; i < 600; ++i) {
    const StepShape shape = steps.mixed();
    model.observe(shape, steps.took(shape, static_cast<double>(steps.between(1, 5))));
  }
  const StepShape shape = steps.decodes();
  EXPECT_LT(static_cast<double>(model.predict_work(shape)) / truth(shape), 1.6);
  EXPECT_GT(model.predict(shape), model.predict_work(shape));
}

TEST(StepTime, TheChunkKeepsTheStepWithinItsBudget) {
  const StepTimeModel model(kTruth);
  const StepShape decodes{.decode_sequences = 16, .decode_context_tokens = 16'000};
  const int64_t chunk = model.prefill_tokens_within(decodes, 50'000, 500);
  StepShape step = decodes;
  step.prefill_tokens = chunk;
  step.prefill_context_tokens = chunk * 500;
  EXPECT_LE(model.predict(step), 50'000);
  ++step.prefill_tokens;
  step.prefill_context_tokens += 500;
  EXPECT_GT(model.predict(step), 50'000) << "and one more would not";
}

// A long prefill is cut so that decodes are in time, and decodes that leave no room still leave a floor to prefill.
TEST(Traps, short_behind_long_chunk) {
  const StepTimeModel model(kTruth);
  int64_t before = 0;
  for (Micros budget = 1'000; budget < 1'000'000; budget *= 2) {
    const int64_t chunk =
        model.prefill_tokens_within({.decode_sequences = 8, .decode_context_tokens = 4'000}, budget);
    EXPECT_GE(chunk, before) << budget;
    before = chunk;
  }
  before = StepTimeModel::kNoLimit;
  for (int64_t sequences = 0; sequences < 4'096; sequences = 2 * sequences + 1) {
    const int64_t chunk = model.prefill_tokens_within(
        {.decode_sequences = sequences, .decode_context_tokens = sequences * 1'000}, 100'000);
    EXPECT_LE(chunk, before) << sequences;
    EXPECT_GE(static_cast<double>(chunk), 0.25 * 100'000 / kTruth.prefill_token - 1)
        << "a quarter of the budget is prefill's";
    before = chunk;
  }
  EXPECT_EQ(model.prefill_tokens_within({.decode_sequences = 8}, 1), StepTimeModel::kPrefillFloorTokens);
  EXPECT_EQ(model.prefill_tokens_within({.decode_sequences = 8}, 0), StepTimeModel::kNoLimit)
      << "no target, no limit";
  EXPECT_EQ(StepTimeModel().prefill_tokens_within({.decode_sequences = 8}, 50'000), StepTimeModel::kNoLimit);
}

TEST(StepTime, ARowCostsItsShareOfTheStepTimesItsTokens) {
  const StepTimeModel model({.fixed = 10'000, .decode_sequence = 500, .decode_context_token = 0.5});
  // 500 + 0.5 x 1,000 us a row, of 10,000 + 4 x 1,000: a row takes 1/14 of the step and the step makes 4 tokens.
  EXPECT_NEAR(model.row_price({.decode_sequences = 4, .decode_context_tokens = 4'000}), 4.0 / 14, 1e-9);
  EXPECT_LT(model.row_price({.decode_sequences = 1}), model.row_price({.decode_sequences = 2}));
  EXPECT_NEAR(StepTimeModel({.decode_sequence = 500}).row_price({.decode_sequences = 3}), 1, 1e-9) << "arithmetic alone";
  EXPECT_EQ(StepTimeModel({.fixed = 10'000}).row_price({.decode_sequences = 3}), StepTimeModel::kRowPriceMin);
  EXPECT_NEAR(StepTimeModel().row_price({.decode_sequences = 6}), 0.5, 1e-9) << "nothing known";
  EXPECT_GT(StepTimeModel().row_price({}), 0);
}

TEST(StepTime, RowsThatTheBudgetStillHolds) {
  const StepTimeModel model({.fixed = 10'000, .decode_sequence = 500, .decode_context_token = 0.5});
  const StepShape decodes{.decode_sequences = 4, .decode_context_tokens = 4'000};  // 14 ms, and 1 ms a row
  EXPECT_EQ(model.rows_within(decodes, 20'000), 6);
  EXPECT_EQ(model.rows_within(decodes, 14'999), 0);
  EXPECT_EQ(model.rows_within(decodes, 1'000), 0);
  EXPECT_EQ(model.rows_within(decodes, 0), StepTimeModel::kNoLimit) << "off";
  EXPECT_EQ(StepTimeModel().rows_within(decodes, 1'000), 0) << "nothing known: no guesses on somebody's time";
  EXPECT_EQ(StepTimeModel({.fixed = 10'000}).rows_within(decodes, 20'000), StepTimeModel::kNoLimit) << "rows are free";
}

TEST(StepTime, CollinearFeaturesStayBounded) {
  StepTimeModel model;
  const StepShape always{.decode_sequences = 4, .decode_context_tokens = 4'000};
  for (int i = 0; i < 50'000; ++i) model.observe(always, 20'000);
  EXPECT_NEAR(static_cast<double>(model.predict(always)), 20'000, 200);
  EXPECT_TRUE(none_negative(model.costs()));
  EXPECT_LE(model.predict({.decode_sequences = 8, .decode_context_tokens = 8'000}), 40'400);
}

}  // namespace
}  // namespace weir
