// The three forms of a report: numbers that follow from the run, JSON that parses, a page whose tags close.
#include "load/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "load/svg.h"

namespace weir::load {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A run of 2 s after 1 s of warm-up: two tenants, one completed request each, a refusal, an error.
Report sample(const std::string& rude = "b") {
  WorkloadOptions content{.server = {"h", "80", "/v1"}, .model = "<m&\"'>"};
  content.tenants = {{.name = "a", .key = "secret", .weight = 1}, {.name = rude, .weight = 3}};
  const Workload workload(content);
  RunOptions options{.rate = 5, .duration_us = 2'000'000, .warmup_us = 1'000'000, .targets = {.ttft_us = 100'000}};
  RunResult result{.meter = Meter(2, options.targets), .wall_us = 3'000'000, .cpu_seconds = 0.75};
  const auto answer = [](Micros first_us, int64_t tokens) {
    return Answer{.ending = Ending::kCompleted,
                  .status = 200,
                  .first_us = first_us,
                  .last_us = first_us + 90'000,
                  .events = tokens,
                  .output_tokens = tokens,
                  .prompt_tokens = 100};
  };
  result.meter.series.started(1'000'000);
  result.meter.record({.tenant = 0, .due_us = 1'000'000, .begun_us = 1'000'000, .end_us = 1'500'000},
                      answer(1'050'000, 10));
  result.meter.record({.tenant = 1, .due_us = 1'000'000, .begun_us = 1'000'000, .end_us = 3'000'000},
                      answer(1'200'000, 130));
  result.meter.record({.tenant = 1, .due_us = 1'000'000, .end_us = 1'000'900},
                      {.ending = Ending::kRefused, .status = 429, .reason = rude, .code = "slow_down"});
  result.meter.record({.tenant = 1, .end_us = 2'000'000},
                      {.ending = Ending::kFailed, .failure = Failure::kBadChunk});
  return Report(options, workload, std::move(result));
}

TEST(Report, NumbersFollowFromTheRun) {
  const Report report = sample();
  EXPECT_DOUBLE_EQ(report.window_s, 2);
  EXPECT_DOUBLE_EQ(report.requests_per_s, 1);
  EXPECT_DOUBLE_EQ(report.output_tokens_per_s, 70);
  EXPECT_DOUBLE_EQ(report.goodput_per_s, 0.5);
  EXPECT_DOUBLE_EQ(report.met_fraction, 0.25);
  EXPECT_DOUBLE_EQ(report.cpu_fraction, 0.25);
  EXPECT_DOUBLE_EQ(report.tenants[0].service, 100 + 2 * 10);
  EXPECT_DOUBLE_EQ(report.tenants[1].service, (100 + 2 * 130) / 3.0);
  EXPECT_DOUBLE_EQ(report.jain, 1);
}

TEST(Report, TheTableNamesWhatHappenedAndNoKey) {
  const std::string text = report_text(sample());
  EXPECT_THAT(text, HasSubstr("4 sent: 2 completed, 1 refused, 1 failed, 0 left on purpose"));
  EXPECT_THAT(text, HasSubstr("429 b slow_down"));
  EXPECT_THAT(text, HasSubstr("bad_chunk"));
  EXPECT_THAT(text, HasSubstr("time to first token"));
  EXPECT_THAT(text, HasSubstr("Jain index 1.0000"));
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, Not(HasSubstr("warning")));
  EXPECT_EQ(text.back(), '\n');
  Report busy = sample();
  busy.cpu_fraction = 0.9;
  EXPECT_THAT(report_text(busy), HasSubstr("more --threads"));
}

TEST(Report, TheJsonParsesAndSaysTheSame) {
  const boost::json::object json = boost::json::parse(report_json(sample("r\"\\\x01\xFF"))).as_object();
  EXPECT_EQ(json.at("requests").at("sent"), 4);
  EXPECT_EQ(json.at("latency_ms").at("ttft").at("count"), 2);
  EXPECT_NEAR(json.at("latency_ms").at("ttft").at("max").to_number<double>(), 200, 1e-9);
  EXPECT_EQ(json.at("refusals").as_array()[0].at("status"), 429);
  EXPECT_EQ(json.at("errors").at("bad_chunk"), 1);
  EXPECT_EQ(json.at("tenants").as_array().size(), 2u);
  EXPECT_EQ(json.at("stopped_early"), false);
  EXPECT_NEAR(json.at("goodput").at("requests_per_s").to_number<double>(), 0.5, 1e-9);
  EXPECT_EQ(json.at("series").at("bins").as_array().size(), 31u);
}

// RETURNS: the first tag that does not match, "" when all close. Knows what the page uses: no comments, no CDATA.
std::string unbalanced_tag(std::string_view page) {
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string_view::npos; at = page.find('<', at)) {
    const size_t end = page.find('>', at);
    if (end == std::string_view::npos) return "unterminated";
    const std::string tag(page.substr(at + 1, end - at - 1));
    at = end;
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag[0] == '!' || tag.back() == '/' || name == "meta") continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != tag) {
      return tag;
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : open.back();
}

TEST(Report, ThePageIsWellFormedAndSelfContained) {
  const std::string page = report_html(sample("<script>x</script>&"));
  EXPECT_EQ(unbalanced_tag(page), "") << page;
  for (const char* never : {"<script", "http-equiv", "src=", "href=", "url(", "@import"}) {
    EXPECT_EQ(page.find(never), std::string::npos) << never;
  }
  EXPECT_THAT(page, HasSubstr("&lt;m&amp;&quot;&#39;&gt;"));
  for (const char* title : {"Latency", "Requests", "Output tokens", "In flight", "Refusals and errors"}) {
    EXPECT_THAT(page, HasSubstr("<title>" + std::string(title)));
  }
}

TEST(Svg, PlotsWhateverThePointsAre) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool log_x : {false, true}) {
    for (const std::vector<std::pair<double, double>>& points : std::vector<std::vector<std::pair<double, double>>>{
             {}, {{0, 0}}, {{1, nan}, {nan, 1}}, {{5, 5}}, {{-1, -2}, {1e9, 1e12}}}) {
      const std::string svg = svg_plot({.title = "t", .lines = {{"l", points, true}}, .log_x = log_x});
      EXPECT_EQ(unbalanced_tag(svg), "");
      EXPECT_THAT(svg, Not(HasSubstr("nan")));
      EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
  }
  EXPECT_THAT(svg_plot({.title = "t"}), HasSubstr("nothing to show"));
  EXPECT_THAT(axis_ticks(9), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(axis_ticks(0), ElementsAre(0, 1));
  EXPECT_EQ(html_escaped("a\x01<\xC3"), "a?&lt;?");
}

}  // namespace
}  // namespace weir::load
