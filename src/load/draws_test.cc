// What is drawn: moments from a seed, schedules, and what the texts of options may not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "load/arrivals.h"
#include "load/lengths.h"
#include "load/pace.h"
#include "load/random.h"
#include "load/spec_text.h"

namespace weir::load {
namespace {

using ::testing::HasSubstr;

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments_of(int count, const std::function<double()>& draw) {
  double sum = 0, squares = 0;
  for (int i = 0; i < count; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / count;
  return {mean, squares / count - mean * mean};
}

TEST(Random, HasTheMomentsOfItsDistributions) {
  Random random(7, Purpose::kWords);
  const Moments unit = moments_of(100'000, [&] { return random.unit(); });
  EXPECT_NEAR(unit.mean, 0.5, 0.005);
  EXPECT_NEAR(unit.variance, 1.0 / 12, 0.002);
  const Moments exponential = moments_of(100'000, [&] { return random.exponential(); });
  EXPECT_NEAR(exponential.mean, 1, 0.02);
  EXPECT_NEAR(exponential.variance, 1, 0.05);
  const Moments normal = moments_of(100'000, [&] { return random.normal(); });
  EXPECT_NEAR(normal.mean, 0, 0.02);
  EXPECT_NEAR(normal.variance, 1, 0.03);
  for (const double shape : {0.25, 1.0, 4.0}) {  // mean and variance of a gamma of scale 1 are both its shape
    const Moments gamma = moments_of(100'000, [&] { return random.gamma(shape); });
    EXPECT_NEAR(gamma.mean, shape, 0.03 * shape + 0.005);
    EXPECT_NEAR(gamma.variance, shape, 0.06 * shape);
  }
  const Moments below = moments_of(100'000, [&] { return static_cast<double>(random.below(10)); });
  EXPECT_NEAR(below.mean, 4.5, 0.05);
}

TEST(Random, StreamsDependOnSeedPurposeAndIndexAlone) {
  EXPECT_EQ(Random(1, Purpose::kWords, 5).next(), Random(1, Purpose::kWords, 5).next());
  EXPECT_NE(Random(1, Purpose::kWords, 5).next(), Random(2, Purpose::kWords, 5).next());
  EXPECT_NE(Random(1, Purpose::kWords, 5).next(), Random(1, Purpose::kRequest, 5).next());
  EXPECT_NE(Random(1, Purpose::kWords, 5).next(), Random(1, Purpose::kWords, 6).next());
}

std::vector<double> drawn(const char* text, int count) {
  const Result<LengthSpec> spec = LengthSpec::parse(text);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  Random random(3, Purpose::kRequest);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<double>(spec->draw(&random)));
  std::sort(values.begin(), values.end());
  return values;
}

TEST(LengthSpec, DrawsWhatItSays) {
  EXPECT_EQ(drawn("fixed:7", 3), (std::vector<double>{7, 7, 7}));
  EXPECT_EQ(drawn("9", 1), (std::vector<double>{9}));
  const std::vector<double> uniform = drawn("uniform:10,20", 20'000);
  EXPECT_EQ(uniform.front(), 10);
  EXPECT_EQ(uniform.back(), 20);
  const std::vector<double> lognormal = drawn("lognormal:200,900", 50'000);
  EXPECT_NEAR(lognormal[25'000], 200, 8);
  EXPECT_NEAR(lognormal[45'000], 900, 40);
  const std::vector<double> zipf = drawn("zipf:1000,1.0", 50'000);
  double harmonic = 0;
  for (int k = 1; k <= 1000; ++k) harmonic += 1.0 / k;
  const auto ones = std::upper_bound(zipf.begin(), zipf.end(), 1.0) - zipf.begin();
  EXPECT_NEAR(static_cast<double>(ones) / 50'000, 1 / harmonic, 0.01);
  EXPECT_GT(zipf.back(), 900);
  EXPECT_LE(zipf.back(), 1000);
}

TEST(LengthSpec, RefusesWhatItCannotDraw) {
  for (const char* text : {"", "fixed", "fixed:", "fixed:0", "fixed:-1", "fixed:1,2", "uniform:5", "uniform:9,3",
                           "lognormal:0,9", "lognormal:9,x", "zipf:10", "zipf:10,-1", "zipf:10,nan", "pareto:1,2",
                           "fixed:99999999999999999999", "1e3", "fixed:2000000"}) {
    EXPECT_EQ(LengthSpec::parse(text).status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_THAT(LengthSpec::parse("pareto:1,2").status().message(), HasSubstr("lognormal:MEDIAN,P90"));
}

std::vector<Micros> schedule(const char* text, double rate, int count) {
  const Result<ArrivalSpec> spec = ArrivalSpec::parse(text);
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  ArrivalSchedule arrivals(*spec, rate, 11);
  std::vector<Micros> times;
  for (int i = 0; i < count; ++i) times.push_back(arrivals.next_us());
  return times;
}

// The coefficient of variation of the gaps.
double gap_variation(const std::vector<Micros>& times) {
  size_t at = 0;
  const Moments gaps = moments_of(static_cast<int>(times.size()) - 1, [&] {
    ++at;
    return static_cast<double>(times[at] - times[at - 1]);
  });
  return std::sqrt(gaps.variance) / gaps.mean;
}

TEST(Arrivals, KeepTheirRateAndTheirShape) {
  EXPECT_EQ(schedule("constant", 4, 4), (std::vector<Micros>{0, 250'000, 500'000, 750'000}));
  for (const auto& [text, variation] :
       std::vector<std::pair<const char*, double>>{{"poisson", 1.0}, {"gamma:4", 0.5}, {"gamma:0.25", 2.0}}) {
    const std::vector<Micros> times = schedule(text, 100, 40'000);
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_NEAR(static_cast<double>(times.back()) / 1e6, 400, 12) << text;
    EXPECT_NEAR(gap_variation(times), variation, 0.05 * variation) << text;
  }
}

TEST(Arrivals, ABurstIsSilentInItsOffTimeAndKeepsTheMeanRate) {
  const std::vector<Micros> times = schedule("burst:1s/3s", 50, 20'000);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  for (const Micros at_us : times) ASSERT_LE(at_us % 4'000'000, 1'000'000);
  EXPECT_NEAR(static_cast<double>(times.back()) / 1e6, 400, 12);
}

TEST(Arrivals, RefuseWhatIsNoProcess) {
  for (const char* text : {"", "poison", "poisson:1", "gamma", "gamma:0", "gamma:x", "burst:1s", "burst:0/1",
                           "burst:1s/-1s", "burst:1y/1s", "constant:"}) {
    EXPECT_EQ(ArrivalSpec::parse(text).status().code(), Code::kInvalidArgument) << text;
  }
}

TEST(SpecText, SpansAndNumbers) {
  EXPECT_EQ(*parse_span("1.5s"), 1'500'000);
  EXPECT_EQ(*parse_span("250ms"), 250'000);
  EXPECT_EQ(*parse_span("2m"), 120'000'000);
  EXPECT_EQ(*parse_span("3"), 3'000'000);
  for (const char* text : {"", "s", "-1s", "1 s", "1d", "9999h", "1e3s", "1.2.3s"})
    EXPECT_FALSE(parse_span(text).ok()) << text;
  for (const char* text : {"", "inf", "nan", "1x", " 1", "1e999"})
    EXPECT_FALSE(parse_number(text, -1e9, 1e9).ok()) << text;
}

std::vector<Arrival> arrivals_of(const RunOptions& options, const Trace* trace) {
  std::vector<Arrival> all;
  for (int worker = 0; worker < options.threads; ++worker) {
    Pace pace(options, 5, trace, worker);
    while (const std::optional<Arrival> arrival = pace.next()) all.push_back(*arrival);
  }
  std::sort(all.begin(), all.end(),
            [](const Arrival& one, const Arrival& other) { return one.index < other.index; });
  return all;
}

TEST(Pace, WorkersShareOneSchedule) {
  RunOptions options{.rate = 100, .requests = 50};
  const std::vector<Arrival> alone = arrivals_of(options, nullptr);
  options.threads = 3;
  const std::vector<Arrival> shared = arrivals_of(options, nullptr);
  ASSERT_EQ(alone.size(), 50u);
  ASSERT_EQ(shared.size(), 50u);
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(alone[i].index, i);
    EXPECT_EQ(shared[i].index, i);
    EXPECT_EQ(shared[i].due_us, alone[i].due_us);
  }
}

TEST(Pace, EndsWithTheDurationAndPlaysATraceFaster) {
  RunOptions options{.rate = 10, .duration_us = 1'000'000, .warmup_us = 500'000};
  options.arrivals = *ArrivalSpec::parse("constant");
  EXPECT_EQ(arrivals_of(options, nullptr).size(), 15u);
  Trace trace;
  for (const Micros at_us : {0, 1'000'000, 4'000'000}) trace.rows.push_back({.at_us = at_us});
  RunOptions fast{.trace_speed = 4};
  const std::vector<Arrival> played = arrivals_of(fast, &trace);
  ASSERT_EQ(played.size(), 3u);
  EXPECT_EQ(played[1].due_us, 250'000);
  EXPECT_EQ(played[2].due_us, 1'000'000);
}

}  // namespace
}  // namespace weir::load
