// Reports: percentiles, goodput, Jain's index, and a picture that is well-formed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/report.h"
#include "sim/svg.h"

namespace weir::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Report, PercentilesAreNearestRanks) {
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const Percentiles p = percentiles_of(&values);
  EXPECT_EQ(p.p50, 50);
  EXPECT_EQ(p.p90, 90);
  EXPECT_EQ(p.p99, 99);
  std::vector<double> one = {7}, none;
  EXPECT_EQ(percentiles_of(&one).p99, 7);
  EXPECT_EQ(percentiles_of(&none).count, 0);
}

TEST(Report, JainIsOneForEqualsAndOneOverNForOneAlone) {
  EXPECT_DOUBLE_EQ(jain_index({3, 3, 3}), 1);
  EXPECT_DOUBLE_EQ(jain_index({5, 0, 0, 0}), 0.25);
  EXPECT_EQ(jain_index({0, 0}), 0);
}

Outcome two_tenants() {
  Outcome outcome;
  outcome.simulated_us = 2'000'000;
  outcome.tenants = {{.contended = 300}, {.contended = 100}};
  const auto add = [&](int32_t tenant, Micros first, Micros last, FinishReason reason, bool left, bool late) {
    outcome.records.push_back({.arrival_us = 1000,
                               .start_wait_us = 10,
                               .first_token_us = first,
                               .last_token_us = last,
                               .prompt_tokens = 5,
                               .output_tokens = 11,
                               .tenant = tenant,
                               .reason = reason,
                               .left = left,
                               .late = late});
  };
  add(0, 100'000, 200'000, FinishReason::kStop, false, false);    // 10 ms a token
  add(0, 500'000, 700'000, FinishReason::kLength, false, false);  // 20 ms a token
  add(1, 100'000, 200'000, FinishReason::kStop, false, true);
  add(1, 100'000, 200'000, FinishReason::kCancelled, true, false);
  add(1, -1, -1, FinishReason::kQueueTimeout, false, false);
  return outcome;
}

TEST(Report, GoodIsAnsweredInTime) {
  ReportContext context;
  context.shape.tenants = {{"a", 3}, {"b", 1}};
  const Summary all = summarise(two_tenants(), context);
  EXPECT_EQ(all.groups[0].answered, 3);
  EXPECT_EQ(all.groups[0].good, 2) << "one was late";
  EXPECT_DOUBLE_EQ(all.goodput_per_second, 1);
  EXPECT_DOUBLE_EQ(all.jain, 1) << "300 / 3 and 100 / 1";
  ASSERT_EQ(all.groups.size(), 3u);
  EXPECT_EQ(all.groups[1].name, "tenant a");
  EXPECT_DOUBLE_EQ(all.groups[1].ttft.p99, 500);
  EXPECT_DOUBLE_EQ(all.groups[1].tpot.p99, 20);
  context.ttft_slo_us = 200'000;
  EXPECT_EQ(summarise(two_tenants(), context).groups[0].good, 1);
  context.ttft_slo_us = 0;
  context.tpot_slo_us = 15'000;
  EXPECT_EQ(summarise(two_tenants(), context).groups[0].good, 1);
}

TEST(Report, JsonNamesOnlyWhatHappened) {
  Outcome outcome = two_tenants();
  outcome.refusals[static_cast<size_t>(Refusal::kQueueFull)] = 3;
  ReportContext context;
  context.load = "a \"quoted\" load";
  context.shape.tenants = {{"a", 1}, {"b", 1}};
  const std::string json = report_json(outcome, summarise(outcome, context), context);
  EXPECT_THAT(json, HasSubstr("\"refused\": {\"queue_full\": 3}"));
  EXPECT_THAT(json, HasSubstr("a \\\"quoted\\\" load"));
  EXPECT_THAT(json, Not(HasSubstr(": nan")));
  EXPECT_THAT(report_table(outcome, summarise(outcome, context), context), HasSubstr("refused   queue_full 3"));
}

TEST(Svg, LinesStayInsideTheirPanels) {
  Outcome outcome = two_tenants();
  for (int i = 0; i < 5000; ++i) outcome.samples.push_back({i * 400, i % 7, i % 3, i % 50, 10, 64});
  ReportContext context;
  context.load = "5 < 6 & more";
  const std::string svg = plot_svg(outcome, context);
  EXPECT_THAT(svg, HasSubstr("5 &lt; 6 &amp; more"));
  EXPECT_LT(svg.size(), 200'000u);
  EXPECT_TRUE(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
  EXPECT_THAT(svg, Not(HasSubstr("nan ")));
  // Every number after M or H is an x inside the plot, every one after V a y inside the page.
  int seen = 0;
  for (size_t at = svg.find("<path"); at < svg.size(); ++at) {
    const char kind = svg[at];
    if ((kind != 'H' && kind != 'V' && kind != 'M') || svg[at + 1] < '0' || svg[at + 1] > '9') continue;
    const double value = std::stod(svg.substr(at + 1, 12));
    ++seen;
    EXPECT_GE(value, kind == 'V' ? 60 : 76);
    EXPECT_LE(value, kind == 'V' ? 850 : 936);
  }
  EXPECT_GT(seen, 1000);
}

}  // namespace
}  // namespace weir::sim
