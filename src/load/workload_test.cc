// Request number N: the same whoever asks, and what the options say.
#include "load/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>
#include <set>

#include "load/preflight.h"

namespace weir::load {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

boost::json::object body_of(const Workload& workload, uint64_t index) {
  const std::string bytes = workload.request_bytes(workload.plan(index));
  const size_t head = bytes.find("\r\n\r\n");
  EXPECT_THAT(bytes, HasSubstr("Content-Length: " + std::to_string(bytes.size() - head - 4) + "\r\n"));
  return boost::json::parse(bytes.substr(head + 4)).as_object();
}

std::string prompt_of(const Workload& workload, uint64_t index) {
  const boost::json::object body = body_of(workload, index);
  return std::string(body.at("messages").as_array()[0].at("content").as_string());
}

int64_t words_in(const std::string& text) { return std::count(text.begin(), text.end(), ' '); }

TEST(Workload, ARequestDependsOnTheSeedAndItsNumber) {
  WorkloadOptions options{.model = "m", .seed = 4};
  options.prompt_tokens = *LengthSpec::parse("uniform:5,50");
  const Workload one(options), same(options);
  options.seed = 5;
  const Workload other(options);
  EXPECT_EQ(one.request_bytes(one.plan(9)), same.request_bytes(same.plan(9)));
  EXPECT_NE(prompt_of(one, 9), prompt_of(one, 10));
  EXPECT_NE(prompt_of(one, 9), prompt_of(other, 9));
}

TEST(Workload, OneOptionDoesNotChangeWhatAnotherGives) {
  WorkloadOptions options{.seed = 4};
  options.prompt_tokens = *LengthSpec::parse("uniform:5,50");
  const Workload plain(options);
  options.abort_fraction = 0.5;
  options.slow_fraction = 0.5;
  const Workload unruly(options);
  for (uint64_t i = 0; i < 50; ++i) EXPECT_EQ(plain.plan(i).prompt_tokens, unruly.plan(i).prompt_tokens);
}

TEST(Workload, WritesTheRequestThatWasAskedFor) {
  WorkloadOptions options{.server = {"h", "80", "/v1"}, .model = "m\"x", .ignore_eos = true, .temperature = 0.5};
  options.prompt_tokens = *LengthSpec::parse("12");
  options.output_tokens = *LengthSpec::parse("34");
  options.tenants = {{.name = "a", .key = "secret"}};
  options.priorities = {{"batch", 1.0}};
  const Workload chat(options);
  const std::string bytes = chat.request_bytes(chat.plan(0));
  EXPECT_THAT(bytes, StartsWith("POST /v1/chat/completions HTTP/1.1\r\nHost: h:80\r\n"));
  EXPECT_THAT(bytes, HasSubstr("\r\nAuthorization: Bearer secret\r\n"));
  const boost::json::object body = body_of(chat, 0);
  EXPECT_EQ(body.at("model"), "m\"x");
  EXPECT_EQ(body.at("max_tokens"), 34);
  EXPECT_EQ(body.at("stream"), true);
  EXPECT_EQ(body.at("ignore_eos"), true);
  EXPECT_EQ(body.at("temperature"), 0.5);
  EXPECT_EQ(body.at("priority"), "batch");
  EXPECT_EQ(words_in(prompt_of(chat, 0)), 12);

  options.endpoint = Endpoint::kCompletions;
  options.stream = false;
  options.tenants.clear();
  options.priorities = {{"7", 1.0}};
  const Workload plain(options);
  EXPECT_THAT(plain.request_bytes(plain.plan(0)), StartsWith("POST /v1/completions HTTP/1.1\r\n"));
  EXPECT_THAT(plain.request_bytes(plain.plan(0)), Not(HasSubstr("Authorization")));
  EXPECT_TRUE(body_of(plain, 0).contains("prompt"));
  EXPECT_FALSE(body_of(plain, 0).contains("stream"));
  EXPECT_EQ(body_of(plain, 0).at("priority"), 7);
}

TEST(Workload, SharesAndFractionsComeOut) {
  WorkloadOptions options{.abort_fraction = 0.2, .slow_fraction = 0.1};
  options.output_tokens = *LengthSpec::parse("50");
  options.tenants = {{.name = "a", .share = 3}, {.name = "b", .share = 1}};
  options.priorities = {{"x", 0.5}};
  const Workload workload(options);
  int first = 0, aborted = 0, slow = 0, classed = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    const PlannedRequest request = workload.plan(i);
    first += request.tenant == 0;
    slow += request.slow;
    classed += request.priority == 0;
    if (request.abort_after_events == 0) continue;
    ++aborted;
    EXPECT_LT(request.abort_after_events, 50);
  }
  EXPECT_NEAR(first, 7500, 150);
  EXPECT_NEAR(aborted, 2000, 150);
  EXPECT_NEAR(slow, 1000, 120);
  EXPECT_NEAR(classed, 5000, 180);
}

TEST(Workload, AGroupSharesItsPrefix) {
  WorkloadOptions options{.shared_prefix_tokens = 40, .prefix_groups = 3};
  options.prompt_tokens = *LengthSpec::parse("5");
  const Workload workload(options);
  std::set<std::string> prefixes, wholes;
  for (uint64_t i = 0; i < 60; ++i) {
    const std::string prompt = prompt_of(workload, i);
    ASSERT_EQ(words_in(prompt), 45);
    size_t end = 0;
    for (int word = 0; word < 41; ++word) end = prompt.find(' ', end) + 1;
    prefixes.insert(prompt.substr(0, end - 1));
    wholes.insert(prompt);
  }
  EXPECT_EQ(prefixes.size(), 3u);
  EXPECT_EQ(wholes.size(), 60u);
}

TEST(Workload, EqualTraceBlocksAreEqualText) {
  WorkloadOptions options;
  options.trace = Trace{.rows = {{.prompt_tokens = 600, .output_tokens = 3, .first_block = 0, .block_count = 2},
                                 {.prompt_tokens = 1000, .output_tokens = 4, .first_block = 2, .block_count = 2}},
                        .blocks = {5, 6, 5, 7}};
  const Workload workload(options);
  const std::string one = prompt_of(workload, 0), other = prompt_of(workload, 1);
  EXPECT_EQ(words_in(one), 600);
  EXPECT_EQ(words_in(other), 1000);
  size_t shared = 0;
  while (shared < one.size() && one[shared] == other[shared]) ++shared;
  EXPECT_GE(words_in(one.substr(0, shared)), 512);
  EXPECT_LT(words_in(one.substr(0, shared)), 530);
  EXPECT_EQ(workload.plan(1).output_tokens, 4);
}

TEST(Workload, CutsLongOnesAndCorrectsForTheServersTokens) {
  WorkloadOptions options{.prompt_tokens_max = 100, .output_tokens_max = 7};
  options.prompt_tokens = *LengthSpec::parse("500");
  options.scale = {.tokens_per_word = 2, .overhead_tokens = 20};
  const Workload workload(options);
  EXPECT_EQ(workload.plan(0).output_tokens, 7);
  EXPECT_EQ(words_in(prompt_of(workload, 0)), 40);
}

TEST(Workload, PromptsOfAFileAreKeptWhole) {
  WorkloadOptions options{.seed = 1};
  options.prompts = {"a", "tab\t \"q\" \xFF", "c"};
  const Workload workload(options);
  EXPECT_EQ(prompt_of(workload, 0), "tab\t \"q\" \xEF\xBF\xBD");
  EXPECT_EQ(prompt_of(workload, 2), "a");
}

TEST(TokenScale, IsTheLineThroughTwoPoints) {
  const Result<TokenScale> scale = scale_through(16, 36, 80, 132);
  ASSERT_TRUE(scale.ok());
  EXPECT_DOUBLE_EQ(scale->tokens_per_word, 1.5);
  EXPECT_DOUBLE_EQ(scale->overhead_tokens, 12);
  EXPECT_FALSE(scale_through(16, 40, 80, 40).ok());
  EXPECT_FALSE(scale_through(16, 80, 80, 16).ok());
}

}  // namespace
}  // namespace weir::load
