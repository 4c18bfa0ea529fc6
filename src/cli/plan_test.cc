// `weir plan MODEL --for N --prompt P --output O` as a script sees it: exit status, one line of error, JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

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

Ran plan(std::vector<std::string> words) {
  words.insert(words.begin(), {"plan", "models/weir-demo", "--threads", "1"});
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran;
  ran.status = run_weir(words, {plan_command()});
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

TEST(PlanCommand, AnswersYesWithStatusZero) {
  const Ran ran = plan({"--for", "8", "--prompt", "500", "--output", "200"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(StartsWith("memory plan: "), HasSubstr("\n8 sequences of 500 + 200 tokens: fits with ratio "),
                             HasSubstr("--cache-max-entry-count 0.")));
}

TEST(PlanCommand, AnswersNoWithStatusTwoAndWhatIsMissing) {
  const Ran ran = plan({"--for", "32", "--prompt", "500", "--output", "500", "--memory-limit", "240MiB"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("32 sequences of 500 + 500 tokens: needs "), HasSubstr(" more, or --m")));
  const Ran none = plan({"--for", "32", "--prompt", "500", "--output", "500", "--memory-limit", "16MiB"});
  EXPECT_EQ(none.status, 2) << "no plan at all is a no as well";
  EXPECT_THAT(none.out, AllOf(StartsWith("32 sequences"), HasSubstr("needs "), EndsWith("as set, 0 such sequences fit at once\n")));
}

TEST(PlanCommand, JsonHoldsPlanAndAnswer) {
  const Ran ran = plan({"--for", "8", "--prompt", "500", "--output", "200", "--json"});
  const boost::json::object page = boost::json::parse(ran.out).as_object();
  EXPECT_GT(page.at("total_bytes").to_number<uint64_t>(), 0u);
  EXPECT_GT(page.at("lines").as_array().size(), 10u);
  const boost::json::object& answer = page.at("answer").as_object();
  EXPECT_TRUE(answer.at("fits").as_bool());
  EXPECT_EQ(answer.at("sequences").as_int64(), 8);
  EXPECT_GT(answer.at("ratio").as_double(), 0);
  const Ran no = plan({"--for", "8", "--prompt", "500", "--output", "200", "--json", "--memory-limit", "16MiB"});
  EXPECT_EQ(no.status, 2);
  const boost::json::object nothing = boost::json::parse(no.out).as_object();
  EXPECT_FALSE(nothing.at("answer").at("fits").as_bool());
  EXPECT_TRUE(nothing.at("answer").at("ratio").is_null());
  EXPECT_FALSE(nothing.contains("lines"));
}

TEST(PlanCommand, BadQuestionsAreOneLineThatNamesTheFlag) {
  const auto error = [](std::vector<std::string> words) {
    const Ran ran = plan(std::move(words));
    EXPECT_EQ(ran.status, kExitUsage);
    EXPECT_EQ(ran.out, "");
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_THAT(error({"--for", "0", "--prompt", "1", "--output", "1"}), HasSubstr("--for: '0' is out of range"));
  EXPECT_THAT(error({"--for", "1", "--prompt=-4", "--output", "1"}), HasSubstr("--prompt: '-4' is out of range"));
  EXPECT_THAT(error({"--for", "1", "--prompt", "1", "--output", "many"}), HasSubstr("--output: 'many' is not a whole"));
  EXPECT_THAT(error({"--for", "1", "--prompt", "1", "--output", "99999999999999999999"}), HasSubstr("out of range"));
  EXPECT_THAT(error({"--for", "1", "--prompt", "1"}), HasSubstr("belong together; --output is missing"));
  EXPECT_THAT(error({"--output", "1"}), HasSubstr("--for is missing"));
  EXPECT_THAT(error({"--for", "33", "--prompt", "1", "--output", "1"}), HasSubstr("raise --max-batch-size"));
  EXPECT_THAT(error({"--for", "1", "--prompt", "400", "--output", "200", "--session-len", "512"}),
              HasSubstr("raise --session-len"));
  EXPECT_THAT(error({"--for", "1", "--prompt", "1024", "--output", "1"}), HasSubstr("lower --prompt or --output"));
}

}  // namespace
}  // namespace weir
