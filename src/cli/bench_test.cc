// The words after `weir bench`: what is read, and what is refused before anything is sent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <cstdio>
#include <thread>

#include "base/files.h"
#include "cli/bench_options.h"
#include "cli/commands.h"
#include "load/names.h"

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

TEST(BenchOptions, ThePageForOperatorsHasEveryFlagAndEveryError) {
  const Result<std::string> page = read_small_file("docs/operating/bench.md", 1 << 20);
  ASSERT_TRUE(page.ok()) << "run from the root of the repository";
  for (const OptionSpec& option : bench_spec().options) {
    if (option.group.empty()) continue;
    EXPECT_NE(page->find("--" + option.name), std::string::npos) << option.name;
  }
  for (size_t i = 1; i < static_cast<size_t>(load::Failure::kCount); ++i) {
    const std::string name = load::failure_name(static_cast<load::Failure>(i));
    EXPECT_NE(page->find("`" + name + "`"), std::string::npos) << name;
  }
}

TEST(BenchCommand, RunsAgainstAServerAndWritesItsFiles) {
  const auto server = std::move(*load::NullServer::open({.refuse_every = 10}));
  std::thread thread([&] { server->run(); });
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port());
  const std::string json = testing::TempDir() + "/bench_test.json", html = testing::TempDir() + "/bench_test.html";
  testing::internal::CaptureStdout();
  const int code = run_weir({"bench", url, "--concurrency", "2", "--requests", "48", "--output-tokens", "3",
                             "--json", json, "--html", html},
                            {bench_command()});
  const std::string table = testing::internal::GetCapturedStdout();
  server->stop();
  thread.join();
  EXPECT_EQ(code, kExitOk);
  EXPECT_THAT(table, HasSubstr("48 sent: 43 completed, 5 refused"));  // two requests were the calibration's
  const boost::json::value result = boost::json::parse(*read_small_file(json, 1 << 24));
  EXPECT_EQ(result.at("model"), "null");
  EXPECT_EQ(result.at("requests").at("completed"), 43);
  EXPECT_THAT(*read_small_file(html, 1 << 24), HasSubstr("</html>"));
  std::remove(json.c_str());
  std::remove(html.c_str());
}

TEST(BenchCommand, AnAddressWithoutAServerIsOneHelpfulLine) {
  int port = 0;
  { port = (*load::NullServer::open({}))->port(); }
  testing::internal::CaptureStderr();
  const int code =
      run_weir({"bench", "http://127.0.0.1:" + std::to_string(port), "--rate", "1"}, {bench_command()});
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, kExitFailed);
  EXPECT_THAT(text, HasSubstr("Connection refused; is the server running, and is this its address?"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

}  // namespace
}  // namespace weir
