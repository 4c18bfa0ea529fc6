// Traces: what they mean, and every way in which they can be bad.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "sim/trace.h"

namespace weir::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result<Load> azure(const std::string& text, const TraceOptions& options = {}) {
  std::istringstream stream(text);
  return parse_azure(&stream, "a.csv", options);
}
Result<Load> mooncake(const std::string& text, const TraceOptions& options = {}) {
  std::istringstream stream(text);
  return parse_mooncake(&stream, "m.jsonl", options);
}

constexpr char kHeader[] = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n";

TEST(AzureTrace, TimesCountFromTheFirstAndTheLastLineNeedsNoEnd) {
  const auto load =
      azure(std::string(kHeader) + "2023-12-31 23:59:59.9000000,4808,10\r\n2024-01-01 00:00:01.1500000,7,1899");
  ASSERT_TRUE(load.ok()) << load.status().message();
  ASSERT_EQ(load->requests.size(), 2u);
  EXPECT_EQ(load->requests[0].arrival_us, 0);
  EXPECT_EQ(load->requests[0].prompt_tokens, 4808);
  EXPECT_EQ(load->requests[1].arrival_us, 1'250'000);
  EXPECT_EQ(load->requests[1].output_tokens, 1899);
}

TEST(AzureTrace, ColumnsMayStandInAnyOrderAndTimesMayBeSeconds) {
  const auto load =
      azure("GeneratedTokens,Name,TIMESTAMP,ContextTokens\n3,x,100.5,20\n4,y,102.5,30\n", {.speed = 2});
  ASSERT_TRUE(load.ok()) << load.status().message();
  EXPECT_EQ(load->requests[1].arrival_us, 1'000'000) << "twice as fast";
  EXPECT_EQ(load->requests[1].prompt_tokens, 30);
  EXPECT_EQ(azure(std::string(kHeader) + "1,2,3\n2,2,3\n3,2,3\n", {.requests_max = 2})->requests.size(), 2u);
}

TEST(AzureTrace, BadOnesNameTheLine) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "holds no request"},
      {kHeader, "holds no request"},
      {"TIMESTAMP,ContextTokens\n1,2\n", "a.csv:1: the column GeneratedTokens is missing"},
      {std::string(kHeader) + "1,2,3\n\n2,2\n", "a.csv:4: 2 columns where the header has 3"},
      {std::string(kHeader) + "2,2,3\n1,2,3\n", "a.csv:3: the time goes back by 1000000 us"},
      {std::string(kHeader) + "1,2,3\n3,2,3\n2,2,3\n", "a.csv:4: the time goes back by 1000000 us"},
      {std::string(kHeader) + "1,-2,3\n", "a.csv:2: a prompt of -2 tokens"},
      {std::string(kHeader) + "1,2,0\n", "a.csv:2: an answer of 0 tokens"},
      {std::string(kHeader) + "1,99999999999,3\n", "a.csv:2: a prompt of 99999999999 tokens"},
      {std::string(kHeader) + "1,999999999999999999999,3\n", "is no number of tokens"},
      {std::string(kHeader) + "1,2.5,3\n", "'2.5' is no number of tokens"},
      {std::string(kHeader) + "yesterday,2,3\n", "'yesterday' is no time"},
      {std::string(kHeader) + "2023-13-16 18:17:03.97,2,3\n", "is no time"},
      {std::string(kHeader) + "2023-11-16 18:17:03x97,2,3\n", "is no time"},
      {std::string(kHeader) + "nan,2,3\n", "is no time"},
      {std::string(kHeader) + "1e300,2,3\n", "is no time"},
      {std::string(2 << 20, 'x'), "longer than"},
  };
  for (const auto& [text, message] : cases) {
    const auto load = azure(text);
    ASSERT_FALSE(load.ok()) << text.substr(0, 80);
    EXPECT_THAT(load.status().message(), HasSubstr(message));
    EXPECT_THAT(load.status().message(), Not(HasSubstr("\n")));
  }
}

TEST(MooncakeTrace, TheSameHashIsTheSameText) {
  const auto load = mooncake(
      "{\"timestamp\": 0, \"input_length\": 1100, \"output_length\": 5, \"hash_ids\": [46, 47, 7]}\n"
      "{\"timestamp\": 1500, \"input_length\": 1030, \"output_length\": 6, \"hash_ids\": [46, 47, 8]}\n");
  ASSERT_TRUE(load.ok()) << load.status().message();
  EXPECT_EQ(load->requests[1].arrival_us, 1'500'000);
  std::vector<int32_t> first, second;
  write_prompt(*load, load->requests[0], 1, &first);
  write_prompt(*load, load->requests[1], 2, &second);
  ASSERT_EQ(first.size(), 1100u);
  ASSERT_EQ(second.size(), 1030u);
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 1024, second.begin()));
  EXPECT_NE(first[1024], second[1024]);
}

TEST(MooncakeTrace, BadOnesNameTheLine) {
  const std::string good = "{\"timestamp\": 10, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "holds no request"},
      {"{", "m.jsonl:1: this is no JSON object"},
      {good + "[1]\n", "m.jsonl:2: this is no JSON object"},
      {"{\"input_length\": 5, \"output_length\": 5, \"hash_ids\": []}", "timestamp is missing"},
      {"{\"timestamp\": 1, \"input_length\": \"5\", \"output_length\": 5, \"hash_ids\": []}",
       "input_length is missing or no whole number"},
      {"{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 5}", "hash_ids is missing"},
      {"{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1, 2]}",
       "2 hash_ids for 5 tokens"},
      {"{\"timestamp\": 1, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [-1]}",
       "no number of 0 or more"},
      {"{\"timestamp\": -1, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}", "the time is negative"},
      {"{\"timestamp\": 1e18, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}",
       "timestamp is missing or no whole number"},
      {"{\"timestamp\": 9000000000000000000, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}",
       "too far in the future"},
      {good + "{\"timestamp\": 9, \"input_length\": 5, \"output_length\": 5, \"hash_ids\": [1]}",
       "m.jsonl:2: the time goes back by 1000 us"},
      {"{\"timestamp\": 1, \"input_length\": 0, \"output_length\": 5, \"hash_ids\": []}", "a prompt of 0 tokens"},
      {"[[[[[[[[[[[[]]]]]]]]]]]]", "this is no JSON object"},
  };
  for (const auto& [text, message] : cases) {
    const auto load = mooncake(text);
    ASSERT_FALSE(load.ok()) << text;
    EXPECT_THAT(load.status().message(), HasSubstr(message));
  }
}

TEST(Trace, AFileThatIsNotThereIsSaid) {
  EXPECT_EQ(read_trace("no/such/trace.csv", {}).status().code(), Code::kNotFound);
  EXPECT_THAT(read_trace("src", {}).status().message(), HasSubstr("empty, or it is a directory"));
}

}  // namespace
}  // namespace weir::sim
