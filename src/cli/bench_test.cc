// The words after `weir bench`: what is read, and what is refused before anything is sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/bench_options.h"

namespace weir {
namespace {

using ::testing::HasSubstr;

Result<BenchOptions> options_of(std::vector<std::string> words) {
  words.insert(words.begin(), "http://localhost:1");
  const Result<ParsedCommand> parsed = parse_command(bench_spec(), words);
  if (!parsed.ok()) return parsed.status();
  return bench_options_from(*parsed);
}

std::string error_of(std::vector<std::string> words) { return options_of(std::move(words)).status().message(); }

TEST(BenchOptions, ReadsWhatIsGiven) {
  const Result<BenchOptions> options = options_of({"--rate",
                                                   "12.5",
                                                   "--arrivals",
                                                   "gamma:0.5",
                                                   "--requests",
                                                   "9",
                                                   "--warmup",
                                                   "2s",
                                                   "--seed",
                                                   "7",
                                                   "--model",
                                                   "m",
                                                   "--endpoint",
                                                   "completions",
                                                   "--prompt-tokens",
                                                   "uniform:1,9",
                                                   "--key",
                                                   "a=k:2",
                                                   "b=k2",
                                                   "--priority",
                                                   "batch=0.5",
                                                   "--ignore-eos",
                                                   "on",
                                                   "--ttft-slo",
                                                   "300ms",
                                                   "--abort-fraction",
                                                   "0.25",
                                                   "--keep-alive",
                                                   "off",
                                                   "--threads",
                                                   "2"});
  ASSERT_TRUE(options.ok()) << options.status().message();
  EXPECT_EQ(options->run.rate, 12.5);
  EXPECT_EQ(options->run.arrivals.shape, 0.5);
  EXPECT_EQ(options->run.requests, 9u);
  EXPECT_EQ(options->run.duration_us, 0);
  EXPECT_EQ(options->run.warmup_us, 2'000'000);
  EXPECT_EQ(options->run.targets.ttft_us, 300'000);
  EXPECT_EQ(options->run.threads, 2);
  EXPECT_FALSE(options->run.keep_alive);
  EXPECT_EQ(options->workload.seed, 7u);
  EXPECT_EQ(options->workload.model, "m");
  EXPECT_EQ(options->workload.endpoint, load::Endpoint::kCompletions);
  EXPECT_EQ(options->workload.prompt_tokens.text(), "uniform:1,9");
  EXPECT_EQ(options->workload.tenants.size(), 2u);
  EXPECT_EQ(options->workload.abort_fraction, 0.25);
  EXPECT_TRUE(options->workload.ignore_eos);
  EXPECT_TRUE(options->calibrate);
}

TEST(BenchOptions, EndsAfterThirtySecondsWhenNothingElseEndsIt) {
  EXPECT_EQ(options_of({"--rate", "1"})->run.duration_us, 30'000'000);
  EXPECT_EQ(options_of({"--concurrency", "5", "--requests", "1"})->run.duration_us, 0);
}

TEST(BenchOptions, ErrorsNameTheFlagAndSayWhatToWrite) {
  EXPECT_THAT(error_of({}), HasSubstr("--rate R, --trace FILE or --concurrency N"));
  EXPECT_THAT(error_of({"--rate", "1", "--concurrency", "1"}), HasSubstr("give one"));
  EXPECT_THAT(error_of({"--rate", "0"}), HasSubstr("--rate: '0' is no number from 0.001"));
  EXPECT_THAT(error_of({"--rate", "1", "--arrivals", "x"}), HasSubstr("--arrivals: 'x' is no arrival process"));
  EXPECT_THAT(error_of({"--rate", "1", "--prompt-tokens", "x:1"}),
              HasSubstr("--prompt-tokens: 'x:1' is no length"));
  EXPECT_THAT(error_of({"--concurrency", "1", "--arrivals", "poisson"}), HasSubstr("--arrivals belongs to --rate"));
  EXPECT_THAT(error_of({"--rate", "1", "--ramp", "1s"}), HasSubstr("--ramp belongs to --concurrency"));
  EXPECT_THAT(error_of({"--rate", "1", "--trace-speed", "2"}), HasSubstr("--trace-speed belongs to --trace"));
  EXPECT_THAT(error_of({"--trace", "no/such/trace"}), HasSubstr("--trace: no/such/trace"));
  EXPECT_THAT(error_of({"--rate", "1", "--stream", "off", "--ttft-slo", "1s"}), HasSubstr("need --stream on"));
  EXPECT_THAT(error_of({"--rate", "1", "--abort-fraction", "1.5"}), HasSubstr("--abort-fraction"));
  EXPECT_THAT(error_of({"--rate", "1", "--priority", "a=2"}), HasSubstr("--priority"));
  EXPECT_THAT(error_of({"--rate", "1", "--key", "nokey"}), HasSubstr("--key: a tenant is written NAME=KEY"));
  EXPECT_THAT(error_of({"--concurrency", "1", "--threads", "2"}),
              HasSubstr("--threads is more than --concurrency"));
  EXPECT_THAT(error_of({"--rate", "1", "--stream", "maybe"}), HasSubstr("--stream"));
  EXPECT_THAT(error_of({"--rate", "1", "--duraton", "1s"}), HasSubstr("did you mean --duration"));
  const Result<ParsedCommand> nowhere = parse_command(bench_spec(), {"--rate", "1"});
  EXPECT_THAT(bench_options_from(*nowhere).status().message(), HasSubstr("URL is missing"));
}

TEST(BenchOptions, TheNullServersFlagsAreNotInTheHelp) {
  EXPECT_EQ(command_help(bench_spec()).find("null"), std::string::npos);
  const Result<ParsedCommand> parsed = parse_command(bench_spec(), {"--null-server", "70000"});
  EXPECT_THAT(null_server_options_from(*parsed).status().message(), HasSubstr("--null-server"));
}

}  // namespace
}  // namespace weir
