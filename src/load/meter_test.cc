// Statistics: percentiles, what counts for what, fairness, bins over time.
#include "load/meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "load/random.h"

namespace weir::load {
namespace {

using ::testing::ElementsAre;

TEST(Histogram, QuantilesLieWithinTheirError) {
  Random random(1, Purpose::kWords);
  Histogram histogram;
  std::vector<Micros> exact;
  double sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<Micros>(std::exp(12 * random.unit()));  // 1 us to 160 ms
    exact.push_back(value);
    histogram.record(value);
    sum += static_cast<double>(value);
  }
  std::sort(exact.begin(), exact.end());
  for (const double fraction : {0.0001, 0.01, 0.5, 0.9, 0.95, 0.99, 0.9999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(fraction * 20'000)) - 1;
    const Micros truth = exact[rank];
    EXPECT_GE(histogram.quantile(fraction), truth);
    EXPECT_LE(static_cast<double>(histogram.quantile(fraction)),
              static_cast<double>(truth) * (1 + Histogram::kErrorMax));
  }
  EXPECT_EQ(histogram.summary().max, exact.back());
  EXPECT_NEAR(histogram.summary().mean, sum / 20'000, 1e-6);
}

TEST(Histogram, EdgesAndMerging) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  EXPECT_EQ(histogram.summary().count, 0u);
  for (const Micros value : {Micros{-5}, Micros{0}, Micros{1023}, Micros{1024}, Micros{1} << 50})
    histogram.record(value);
  EXPECT_EQ(histogram.quantile(0), 0);
  EXPECT_EQ(histogram.quantile(0.6), 1023);
  EXPECT_EQ(histogram.summary().max, Micros{1} << 40);
  Histogram other;
  other.record(1000);
  other.merge(histogram);
  EXPECT_EQ(other.count(), 6u);
  EXPECT_EQ(other.cumulative().back().fraction, 1);
  EXPECT_EQ(other.cumulative().size(), 5u);
}

TEST(Jain, IsTheFormula) {
  EXPECT_DOUBLE_EQ(jain_index({}), 1);
  EXPECT_DOUBLE_EQ(jain_index({0, 0}), 1);
  EXPECT_DOUBLE_EQ(jain_index({5, 5, 5}), 1);
  EXPECT_DOUBLE_EQ(jain_index({1, 0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(jain_index({1, 3}), 0.8);
}

Answer completed(Micros first_us, Micros last_us, int64_t tokens) {
  return {.ending = Ending::kCompleted,
          .status = 200,
          .first_us = first_us,
          .last_us = last_us,
          .events = tokens,
          .output_tokens = tokens,
          .prompt_tokens = 10};
}

TEST(Meter, LatencyCountsFromTheIntendedArrival) {
  Meter meter(1, {});
  // Due at 1 ms, sent late at 4 ms, tokens from 10 to 19 ms, over at 20 ms.
  meter.record({.due_us = 1000, .begun_us = 4000, .end_us = 20'000}, completed(10'000, 19'000, 10));
  EXPECT_EQ(meter.lateness.summary().max, 3000);
  EXPECT_EQ(meter.ttft.summary().max, 9000);
  EXPECT_EQ(meter.tpot.summary().max, 1000);
  EXPECT_EQ(meter.whole.summary().max, 19'000);
  EXPECT_EQ(meter.met, 1u);
}

TEST(Meter, EachEndingCountsWhereItBelongs) {
  Meter meter(2, {});
  const Outcome plain{.due_us = 0, .begun_us = 0, .end_us = 30'000, .planned_prompt_tokens = 7};
  Outcome slow = plain, warmup = plain, second = plain;
  slow.slow = true;
  slow.end_us = 90'000;
  warmup.measured = false;
  second.tenant = 1;
  meter.record(plain, completed(10'000, 20'000, 5));
  meter.record(slow, completed(10'000, 20'000, 5));
  meter.record(warmup, completed(10'000, 20'000, 5));
  meter.record(second, {.ending = Ending::kRefused,
                        .status = 429,
                        .reason = "queue_full",
                        .code = "slow_down",
                        .retry_after = true});
  meter.record(second, {.ending = Ending::kFailed, .failure = Failure::kReset});
  meter.record(
      second, {.ending = Ending::kAborted, .first_us = 12'000, .last_us = 13'000, .events = 2, .output_tokens = 2});
  meter.record(plain, {.ending = Ending::kInterrupted});
  EXPECT_EQ(meter.sent, 6u);
  EXPECT_EQ(meter.completed, 2u);
  EXPECT_EQ(meter.refused, 1u);
  EXPECT_EQ(meter.failed, 1u);
  EXPECT_EQ(meter.aborted, 1u);
  EXPECT_EQ(meter.interrupted, 1u);
  EXPECT_EQ(meter.warmup, 1u);
  EXPECT_EQ(meter.slow, 1u);
  EXPECT_EQ(meter.last_end_us, 30'000);
  EXPECT_EQ(meter.met, 1u);
  EXPECT_EQ(meter.ttft.count(), 2u);   // the completed one and the aborted one
  EXPECT_EQ(meter.whole.count(), 1u);  // neither slow nor aborted
  EXPECT_EQ(meter.refusal.count(), 1u);
  EXPECT_EQ(meter.with_retry_after, 1u);
  EXPECT_EQ(meter.failures[static_cast<size_t>(Failure::kReset)], 1u);
  EXPECT_EQ(meter.output_tokens, 12);
  EXPECT_EQ(meter.prompt_tokens, 10 + 10 + 7);
  EXPECT_EQ(meter.tenants[1].output_tokens, 2);
  EXPECT_EQ((meter.refusals.at({429, "queue_full", "slow_down"})), 1u);
}

TEST(Meter, GoodputWantsEveryTarget) {
  Meter meter(1, {.ttft_us = 10'000, .tpot_us = 1000});
  const Outcome outcome{.due_us = 0, .begun_us = 0, .end_us = 50'000};
  meter.record(outcome, completed(10'000, 19'000, 10));  // both, exactly
  meter.record(outcome, completed(10'001, 19'001, 10));  // first token late
  meter.record(outcome, completed(9000, 18'010, 10));    // 1001 us a token
  meter.record(outcome, completed(9000, 9000, 1));       // one token has no pace
  EXPECT_EQ(meter.completed, 4u);
  EXPECT_EQ(meter.met, 2u);
}

TEST(Meter, RefusalKindsAreBounded) {
  Meter meter(1, {}), other(1, {});
  for (int i = 0; i < 200; ++i) {
    meter.record({}, {.ending = Ending::kRefused, .status = 429, .reason = "r" + std::to_string(i)});
    other.record({}, {.ending = Ending::kRefused, .status = 503, .reason = "q" + std::to_string(i)});
  }
  meter.merge(other);
  EXPECT_LE(meter.refusals.size(), Meter::kRefusalKindsMax + 1);
  uint64_t sum = 0;
  for (const auto& [kind, count] : meter.refusals) sum += count;
  EXPECT_EQ(sum, 400u);
  EXPECT_EQ(meter.refused, 400u);
}

TEST(Series, JoinsBinsWhenTheRunIsLongAndLosesNothing) {
  Series series;
  for (int second = 0; second < 1000; ++second) {
    series.started(second * Micros{1'000'000});
    series.tokens(second * Micros{1'000'000}, 3);
    series.ended(second * Micros{1'000'000} + 500'000, Ending::kCompleted);
  }
  EXPECT_LE(series.bins().size(), Series::kBinsMax);
  uint64_t started = 0, completed = 0;
  int64_t tokens = 0;
  for (const Series::Bin& bin : series.bins()) {
    started += bin.started;
    completed += bin.completed;
    tokens += bin.tokens;
  }
  EXPECT_EQ(started, 1000u);
  EXPECT_EQ(completed, 1000u);
  EXPECT_EQ(tokens, 3000);
}

TEST(Series, MergesAcrossWidthsAndTellsWhoIsInFlight) {
  Series one, other;
  one.started(0);
  one.started(150'000);
  one.ended(350'000, Ending::kRefused);
  EXPECT_THAT(one.in_flight(), ElementsAre(1, 2, 2, 1));
  other.started(70'000'000);  // makes its bins 200 ms wide
  EXPECT_EQ(other.bin_us(), 200'000);
  one.merge(other);
  EXPECT_EQ(one.bin_us(), 200'000);
  EXPECT_EQ(one.in_flight()[0], 2);
  EXPECT_EQ(one.in_flight()[1], 1);
  EXPECT_EQ(one.in_flight().back(), 2);
}

}  // namespace
}  // namespace weir::load
