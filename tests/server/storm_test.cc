// The storm of bench/storm, short: a real server under good, bad, leaving, slow and greedy clients keeps its
// promises; and the storm's own judgement can fail. What is asserted is counted, never timed.
#include "server/storm.h"
#include "base/sanitized.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

namespace weir::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A sanitizer makes the server about ten times slower: fewer requests, and its shadow memory is nobody's plan.
constexpr bool kSlow = kSanitized;

// The size of the KV cache: all that is left of 144 MiB, and so little that sequences wait and preempt.
class StormTest : public ::testing::TestWithParam<const char*> {};

TEST_P(StormTest, StaysWithinThePlanAndReturnsEverything) {
  if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  const StormOptions options{.requests = kSlow ? 120 : 500, .warm_up_requests = kSlow ? 40 : 250, .seed = 5};
  ServerProcess server({"--cache-max-entry-count", GetParam(), "--memory-limit", "144MiB", "--memory-governor",
                        kSlow ? "off" : "on", "--max-concurrent-requests", "8", "--max-queued-requests", "32",
                        "--queue-timeout", "10s", "--max-body-bytes", std::to_string(options.limits.body_bytes_max),
                        "--max-connections", "128", "--cache-block-seq-len", "16"});
  ASSERT_GT(server.port(), 0);
  const StormReport report = run_storm(server, options);
  ASSERT_TRUE(server.running()) << server.log();
  const StormGoals goals{.drift_floor_bytes = 512 << 10, .recomputed_floor_tokens = 1024, .sanitized = kSlow};
  EXPECT_THAT(report.broken_promises(goals), IsEmpty());
  int all = 0;
  for (const int count : report.outcomes) all += count;
  EXPECT_EQ(all, options.requests) << "every request ends once";
  for (const StormOutcome outcome :
       {StormOutcome::kAnswered, StormOutcome::kBad, StormOutcome::kRefused, StormOutcome::kLeft}) {
    EXPECT_GT(report.count(outcome), 0) << storm_outcome_name(outcome);
  }
  if (!kSlow && GetParam() == std::string("1.0")) {  // a small pool of few requests may forget each prefix in time
    EXPECT_GT(report.end.metric("weir_prefix_hit_tokens_total"), 0);
  }
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(20'000), 0) << server.log();
}

INSTANTIATE_TEST_SUITE_P(Caches, StormTest, ::testing::Values("1.0", "2MiB"),
                         [](const auto& info) { return std::string(info.index == 0 ? "All" : "Small"); });

// The smallest plan that `weir plan` makes for this batch and body: a cache of one session, few connections, no
// ratio that would take what is left. Two thirds of the requests are those that cost most. By --max-body-bytes.
class SmallPlan : public ::testing::TestWithParam<size_t> {};

TEST_P(SmallPlan, HoldsWhileItIsAttacked) {
  if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  StormOptions options{
      .requests = kSlow ? 40 : 160, .warm_up_requests = kSlow ? 20 : 80, .at_once = 12, .seed = 11};
  options.limits.session_tokens = 512;
  options.limits.body_bytes_max = GetParam();
  options.limits.greedy_percent = 66;
  ServerProcess server({"--session-len",
                        "512",
                        "--cache-block-seq-len",
                        "16",
                        "--cache-max-entry-count",
                        "32",
                        "--max-concurrent-requests",
                        "4",
                        "--max-queued-requests",
                        "16",
                        "--max-queued-tokens",
                        "4096",
                        "--max-body-bytes",
                        std::to_string(GetParam()),
                        "--max-connections",
                        "32",
                        "--memory-governor",
                        kSlow ? "off" : "on",
                        "--queue-timeout",
                        "20s"});
  ASSERT_GT(server.port(), 0);
  const StormReport report = run_storm(server, options);
  ASSERT_TRUE(server.running()) << server.log();
  // A body of megabytes leaves more behind in the allocator than the drift of a storm of small ones: the plan
  // bounds it.
  const StormGoals goals{.drift_floor_bytes = 16 * GetParam(), .recomputed = 2, .sanitized = kSlow};
  EXPECT_THAT(report.broken_promises(goals), IsEmpty());
  EXPECT_GT(report.count(StormOutcome::kLeft) + report.count(StormOutcome::kCutOff), 0)
      << "of answers that are not read";
  std::printf("peak %.1f of %.1f MB\n", static_cast<double>(report.peak_bytes) / 1e6,
              static_cast<double>(report.plan_bytes) / 1e6);
}

INSTANTIATE_TEST_SUITE_P(Bodies, SmallPlan, ::testing::Values(size_t{64} << 10, size_t{4} << 20));

StormReport good_report() {
  StormReport report;
  report.warm.came = report.end.came = true;
  report.warm.rss_bytes = report.end.rss_bytes = 50'000'000;
  report.peak_bytes = report.plan_bytes = 60'000'000;
  report.end.metrics = {{"weir_sealed_allocations_total{thread=\"engine\"}", 0},
                        {"weir_output_tokens_total", 1000},
                        {"weir_recomputed_tokens_total", 19}};
  return report;
}

TEST(StormReport, NamesEachBrokenPromise) {
  EXPECT_THAT(good_report().broken_promises(), IsEmpty());
  const auto broken = [](auto change) {
    StormReport report = good_report();
    change(&report);
    return report.broken_promises();
  };
  EXPECT_THAT(broken([](StormReport* r) { ++r->peak_bytes; }), ElementsAre(HasSubstr("above the plan")));
  EXPECT_THAT(broken([](StormReport* r) { r->end.rss_bytes = 50'500'000; }), ElementsAre(HasSubstr("grew")));
  EXPECT_THAT(broken([](StormReport* r) { r->end.came = false; }), ElementsAre(HasSubstr("did not come back")));
  EXPECT_THAT(broken([](StormReport* r) { r->end.metrics["weir_recomputed_tokens_total"] = 20; }),
              ElementsAre(HasSubstr("2.0")));
  EXPECT_THAT(
      broken([](StormReport* r) { r->end.metrics["weir_sealed_allocations_total{thread=\"worker\"}"] = 1; }),
      ElementsAre(HasSubstr("called the allocator")));
  EXPECT_THAT(
      broken([](StormReport* r) { r->end.metrics.erase("weir_sealed_allocations_total{thread=\"engine\"}"); }),
      ElementsAre(HasSubstr("nobody counts")));
  EXPECT_THAT(broken([](StormReport* r) { ++r->outcomes[static_cast<size_t>(StormOutcome::kFault)]; }),
              ElementsAre(HasSubstr("1 answers")));
}

TEST(StormRequests, TheSameSeedGivesTheSameStormAndEveryKindOccurs) {
  StormGenerator one(3, {}), same(3, {}), other(4, {});
  std::map<std::string, int> kinds;
  int cut = 0, differ = 0;
  for (int i = 0; i < 1000; ++i) {
    const StormRequest request = one.next();
    EXPECT_EQ(request.bytes, same.next().bytes);
    differ += request.bytes != other.next().bytes;
    cut += request.send_bytes < request.bytes.size();
    ++kinds[request.kind];
  }
  EXPECT_GT(differ, 900);
  EXPECT_GT(cut, 0);
  EXPECT_EQ(kinds.size(), 16u)
      << "short whole and streamed, shared prefix, long, n > 1, two prompts, chat, bad, wrong "
         "path, control, slow reader, never reads, template values, costly JSON, unread text and answers";
}

}  // namespace
}  // namespace weir::testing
