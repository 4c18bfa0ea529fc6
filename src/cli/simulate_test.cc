// `weir simulate` as a script sees it: exit status, one line of error, table, JSON, SVG, replay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "cli/commands.h"

namespace weir {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

struct Ran {
  int status = 0;
  std::string out, err;
};

Ran simulate(std::vector<std::string> words) {
  words.insert(words.begin(), "simulate");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.status = run_weir(words, {simulate_command()});
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

std::vector<std::string> h200(std::vector<std::string> words) {
  words.insert(words.begin(), {"--gpu", "h200", "--requests", "60", "--poisson", "20"});
  return words;
}

TEST(SimulateCommand, TheTableHoldsWhatHappened) {
  const Ran ran = simulate(h200({"--tenants", "a:3:1,b:1:1", "--class-mix", "interactive=1,batch=1"}));
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("roofline of h200 with 8B"), HasSubstr("class interactive"),
                             HasSubstr("tenant b"), HasSubstr("ended     stop 60"), HasSubstr("refused   none")));
}

TEST(SimulateCommand, TheSameSeedIsTheSameRun) {
  const auto hash_of = [](const Ran& ran) {
    return std::string(boost::json::parse(ran.out).as_object().at("event_hash").as_string());
  };
  const std::vector<std::string> words = h200({"--faults", "0.3", "--server-faults", "5", "--json", "--seed", "5"});
  const Ran ran = simulate(words);
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(hash_of(ran), hash_of(simulate(words)));
  EXPECT_NE(hash_of(ran),
            hash_of(simulate(h200({"--faults", "0.3", "--server-faults", "5", "--json", "--seed", "6"}))));
  const boost::json::object report = boost::json::parse(ran.out).as_object();
  EXPECT_EQ(report.at("offered").as_int64(), 60);
  EXPECT_EQ(report.at("submitted"), report.at("ended"));
}

TEST(SimulateCommand, ATraceAndAPlot) {
  const std::string trace = testing::TempDir() + "weir_simulate_test.csv",
                    plot = testing::TempDir() + "weir_simulate_test.svg";
  std::ofstream(trace) << "TIMESTAMP,ContextTokens,GeneratedTokens\n1,100,5\n2,200,6\n";
  const Ran ran = simulate({"--gpu", "l4", "--model-size", "3B", "--trace", trace, "--svg", plot});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("weir_simulate_test.csv, 2 requests in 1 s"));
  std::stringstream text;
  text << std::ifstream(plot).rdbuf();
  EXPECT_THAT(text.str(), AllOf(StartsWith("<svg"), EndsWith("</svg>\n")));
  std::remove(plot.c_str());
  std::remove(trace.c_str());
}

TEST(SimulateCommand, ASoakSaysThatEverythingCameBack) {
  const Ran ran = simulate({"--seeds", "20", "--requests", "20"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("20 seeds, 400 requests"), HasSubstr("every sequence ended once")));
}

TEST(SimulateCommand, BadWordsAreOneLineThatNamesTheFlag) {
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--requests", "5"}, "give --gpu NAME --model-size SIZE, or --profile FILE"},
      {{"--gpu", "h900"}, "'h900' is no GPU of the list"},
      {{"--gpu", "h200", "--profile", "x.toml"}, "give one"},
      {{"--profile", "no/such.toml"}, "no/such.toml"},
      {{"--gpu", "h200", "--trace", "no/such.csv"}, "no/such.csv: cannot be opened"},
      {{"--gpu", "h200", "--trace", "x.csv", "--poisson", "3"}, "--poisson makes up a load"},
      {h200({"--poisson", "-1"}), "--poisson: '-1' is no number"},
      {h200({"--arrival-variation", "nan"}), "--arrival-variation: 'nan'"},
      {h200({"--prompt-tokens", "1:2:3"}), "--prompt-tokens: write MEAN or MEAN:VARIATION"},
      {h200({"--tenants", "a,a"}), "--tenants: a stands there twice"},
      {h200({"--tenants", "a:-1"}), "--tenants a: '-1' is no number"},
      {h200({"--class-mix", "vip=1"}), "--class-mix: 'vip' is none of --classes"},
      {h200({"--class-mix", "batch=0"}), "--class-mix: give one class"},
      {h200({"--deadline", "yesterday"}), "--deadline"},
      {h200({"--faults", "2"}), "--faults: '2' is no number from 0 to 1"},
      {h200({"--kv-tokens", "1"}), "--kv-tokens"},
      {h200({"--session-len", "16000000", "--max-batch-size", "64"}), "too much to simulate"},
      {{"--seeds", "0"}, "--seeds"},
      {{"--seeds", "3", "--gpu", "h200"}, "--gpu does not go with --seeds"},
      {{"--seeds", "3", "--faults", "0.5"}, "write on or off"},
  };
  for (const auto& [words, message] : cases) {
    const Ran ran = simulate(words);
    EXPECT_EQ(ran.status, kExitUsage) << message;
    EXPECT_THAT(ran.err, AllOf(StartsWith("weir: error: "), HasSubstr(message), EndsWith("\n")));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
}

}  // namespace
}  // namespace weir
