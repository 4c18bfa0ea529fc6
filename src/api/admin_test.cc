// GET and PATCH /admin/limits without a server behind them: keys, what is read from a body, what is answered, and
// what goes on while a change waits. What a change does is tested in tests/server/live_limits_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "api/text_pool.h"
#include "api/world_test.h"

namespace weir::api {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPath = "/admin/limits";

const LiveLimits kLimits{.cache_max_entry_count = "0.8",
                         .kv_blocks = 40,
                         .kv_blocks_ceiling = 64,
                         .max_concurrent_requests = 2,
                         .max_concurrent_requests_ceiling = 4,
                         .max_queued_requests = 3,
                         .max_queued_requests_ceiling = 1024,
                         .max_queued_tokens = 500,
                         .max_queued_tokens_ceiling = 9000};

constexpr const char* kLimitsJson =
    R"({"cache_max_entry_count":"0.8","kv_blocks":40,"max_concurrent_requests":2,"max_queued_requests":3,)"
    R"("max_queued_tokens":500,"ceilings":{"kv_blocks":64,"max_concurrent_requests":4,"max_queued_requests":1024,)"
    R"("max_queued_tokens":9000}})";

// Remembers what it was asked to change and answers `answer`.
struct Admin {
  std::mutex mutex;
  std::vector<LimitsPatch> patches;
  Result<LiveLimits> answer = kLimits;
  std::promise<void> entered, leave;  // with `waits`: set when a change has begun; it goes on when the test says so
  bool waits = false;
  World world;

  explicit Admin(std::string key = "open", std::vector<std::string> api_keys = {})
      : world({.api_keys = std::move(api_keys),
               .admin_key = std::move(key),
               .patch_limits = [this](const LimitsPatch& patch) { return change(patch); },
               .live_limits = [] { return kLimits; }}) {}

  Result<LiveLimits> change(const LimitsPatch& patch) {
    std::unique_lock lock(mutex);
    patches.push_back(patch);
    const bool first = waits && patches.size() == 1;
    lock.unlock();
    if (first) {
      entered.set_value();
      leave.get_future().wait();
    }
    return answer;
  }
  std::shared_ptr<FakeExchange> send(const std::string& method, const std::string& body,
                                     const std::string& authorization) {
    http::Request request = make_request(method, kPath, body);
    if (!authorization.empty()) request.headers.emplace_back("authorization", authorization);
    return world.send(std::move(request));
  }
  std::shared_ptr<FakeExchange> patch(const std::string& body) {
    const auto exchange = send("PATCH", body, "Bearer open");
    world.run_until([&] { return exchange->done; });
    return exchange;
  }
};

TEST(Admin, WithoutAKeyOfItsOwnItIsClosedToEverybody) {
  Admin admin("", {"user"});
  for (const char* method : {"GET", "HEAD", "PATCH"}) {
    for (const char* authorization : {"", "Bearer ", "Bearer user", "Bearer open"}) {
      const auto got = admin.send(method, R"({"max_queued_requests":1})", authorization);
      EXPECT_EQ(got->status, 403) << method << authorization;
      EXPECT_EQ(got->error().at("code"), "admin_closed");
      EXPECT_THAT(got->body, HasSubstr("--admin-key"));
    }
  }
  EXPECT_TRUE(admin.patches.empty());
}

TEST(Admin, NeedsItsOwnKeyAndNotAUsers) {
  Admin admin("open", {"user"});
  for (const char* method : {"GET", "PATCH"}) {
    for (const char* authorization :
         {"", "open", "Basic open", "Bearer", "Bearer ", "Bearer user", "Bearer opem", "Bearer opens"}) {
      const auto got = admin.send(method, R"({"max_queued_requests":1})", authorization);
      EXPECT_EQ(got->status, 401) << method << " " << authorization;
      EXPECT_EQ(got->error().at("code"), "invalid_api_key");
      EXPECT_EQ(got->header("WWW-Authenticate"), "Bearer");
      EXPECT_EQ(got->body.find("kv_blocks"), std::string::npos);
    }
  }
  EXPECT_TRUE(admin.patches.empty());
  EXPECT_EQ(admin.world.door.refusals(Refusal::kUnauthenticated), 16u);
  EXPECT_EQ(admin.send("GET", "", "Bearer open")->body, kLimitsJson);
  Admin no_user_keys;
  const auto other = no_user_keys.send("POST", "{}", "Bearer open");
  EXPECT_EQ(other->status, 405);
  EXPECT_EQ(other->header("Allow"), "GET, HEAD, PATCH");
}

TEST(Admin, EveryFieldArrivesAndAbsentOnesStayAbsent) {
  Admin admin;
  EXPECT_EQ(admin
                .patch(R"({"cache_max_entry_count":"8GiB","max_concurrent_requests":3,"max_queued_requests":0,)"
                       R"("max_queued_tokens":1})")
                ->body,
            kLimitsJson);
  EXPECT_EQ(admin.patch(R"({"max_queued_tokens":16.0})")->status, 200);
  ASSERT_EQ(admin.patches.size(), 2u);
  EXPECT_EQ(admin.patches[0].cache_max_entry_count, "8GiB");
  EXPECT_EQ(admin.patches[0].max_concurrent_requests, 3);
  EXPECT_EQ(admin.patches[0].max_queued_requests, 0);
  EXPECT_EQ(admin.patches[0].max_queued_tokens, 1);
  EXPECT_FALSE(admin.patches[1].cache_max_entry_count.has_value());
  EXPECT_FALSE(admin.patches[1].max_concurrent_requests.has_value());
  EXPECT_FALSE(admin.patches[1].max_queued_requests.has_value());
  EXPECT_EQ(admin.patches[1].max_queued_tokens, 16);
}

TEST(Admin, ACacheShareMayBeANumberOrAText) {
  const std::pair<const char*, const char*> cases[] = {
      {"0.25", "0.25"},
      {"1", "1"},
      {"1.0", "1"},
      {"128", "128"},
      {"1.5", "1.5"},
      {"-1", "-1"},
      {"1e-9", "0.000000001"},
      {"\"8GiB\"", "8GiB"},
      {"\"0.5\"", "0.5"},
      {"\"lots\"", "lots"},
      {"\"\"", ""},
      {"1e300", "10000000000000000525047602552044"}};  // cut: it is refused with any number of zeros
  Admin admin;
  for (const auto& [json, text] : cases) {
    EXPECT_EQ(admin.patch(std::string("{\"cache_max_entry_count\":") + json + "}")->status, 200) << json;
    EXPECT_EQ(admin.patches.back().cache_max_entry_count, text) << "the server judges it, not the reader";
  }
}

TEST(Admin, AnEmptyObjectAndNullsChangeNothing) {
  Admin admin;
  for (const char* body : {"{}", R"({"cache_max_entry_count":null,"max_queued_requests":null})"}) {
    EXPECT_EQ(admin.patch(body)->body, kLimitsJson);
    EXPECT_TRUE(admin.patches.back().empty());
  }
}

TEST(Admin, ABadBodyIsA400ThatNamesTheFieldAndReachesNobody) {
  const std::string long_text = "\"" + std::string(10'000, '0') + "8GiB\"";
  const std::pair<std::string, const char*> cases[] = {
      {"", ""},
      {"{", ""},
      {"[]", ""},
      {"7", ""},
      {"\"x\"", ""},
      {"{\"max_queued_requests\":NaN}", ""},
      {"{\"max_queued_requests\":1}x", ""},
      {"{\"\xff\":1}", ""},
      {R"({"max_queued_requests":"8"})", "max_queued_requests"},
      {R"({"max_queued_requests":-1})", "max_queued_requests"},
      {R"({"max_queued_requests":1.5})", "max_queued_requests"},
      {R"({"max_queued_requests":1e18})", "max_queued_requests"},
      {R"({"max_queued_requests":99999999999999999999})", "max_queued_requests"},
      {R"({"max_queued_requests":[1]})", "max_queued_requests"},
      {R"({"max_concurrent_requests":0})", "max_concurrent_requests"},
      {R"({"max_concurrent_requests":-3})", "max_concurrent_requests"},
      {R"({"max_concurrent_requests":true})", "max_concurrent_requests"},
      {R"({"max_queued_tokens":0})", "max_queued_tokens"},
      {R"({"max_queued_tokens":{}})", "max_queued_tokens"},
      {R"({"cache_max_entry_count":true})", "cache_max_entry_count"},
      {R"({"cache_max_entry_count":["8GiB"]})", "cache_max_entry_count"},
      {R"({"cache_max_entry_count":)" + long_text + "}", "cache_max_entry_count"},
      {R"({"session_len":4})", "session_len"},
      {R"({"max_queued_requests":1,"Max_Queued_Requests":1})", "Max_Queued_Requests"},
      {"{\"" + std::string(59, 'a') + "\xc3\xa4\":1}", "*"}};  // its name is cut where it stands
  Admin admin;
  for (const auto& [body, param] : cases) {
    const auto got = admin.patch(body);
    EXPECT_EQ(got->status, 400) << body.substr(0, 80);
    EXPECT_EQ(got->error().at("type"), "invalid_request_error");
    EXPECT_LT(got->body.size(), 600u) << "an echo of a name, not of a body";
    if (*param == '*') continue;
    const boost::json::value named = got->error().at("param");
    EXPECT_EQ(named.is_null() ? "" : std::string(named.as_string()), param) << body.substr(0, 80);
  }
  EXPECT_TRUE(admin.patches.empty());
}

TEST(Admin, WhatTheServerSaysBecomesTheAnswer) {
  struct Said {
    Status status;
    int http;
    const char* code;   // empty: null
    const char* param;  // empty: null
  };
  const Said cases[] = {{invalid_argument("max_concurrent_requests 9 is above the 4 of the plan"), 400, "",
                         "max_concurrent_requests"},
                        {invalid_argument("cache_max_entry_count: does not fit"), 400, "", "cache_max_entry_count"},
                        {invalid_argument("7 blocks are guaranteed"), 400, "", ""},
                        {failed_precondition("the machine does not allow it"), 400, "", ""},
                        {{Code::kResourceExhausted, "the machine does not have the memory"}, 429, "slow_down", ""},
                        {{Code::kUnavailable, "the engine did not answer"}, 503, "server_is_overloaded", ""}};
  Admin admin;
  for (const Said& said : cases) {
    admin.answer = said.status;
    const auto got = admin.patch(R"({"max_concurrent_requests":3})");
    EXPECT_EQ(got->status, said.http);
    EXPECT_EQ(std::string(got->error().at("message").as_string()), said.status.message());
    const auto text = [&](const char* name) {
      const boost::json::value value = got->error().at(name);
      return value.is_null() ? std::string() : std::string(value.as_string());
    };
    EXPECT_EQ(text("code"), said.code);
    EXPECT_EQ(text("param"), said.param);
    EXPECT_EQ(!got->header("Retry-After").empty(), said.http != 400);
  }
}

TEST(Admin, EverythingElseAnswersWhileAChangeWaits) {
  Admin admin;
  admin.waits = true;
  const auto slow = admin.send("PATCH", R"({"max_queued_requests":1})", "Bearer open");
  admin.entered.get_future().wait();
  EXPECT_EQ(admin.send("GET", "", "Bearer open")->body, kLimitsJson);
  for (const char* path : {"/health", "/health/live", "/health/ready", "/metrics", "/plan", "/v1/models"}) {
    EXPECT_EQ(admin.world.get(path)->status, 200) << path;
  }
  EXPECT_EQ(admin.world.ask("/tokenize", R"({"prompt":"a"})")->status, 200);
  EXPECT_EQ(admin.world.ask("/v1/completions", R"({"prompt":"a","max_tokens":2})")->status, 200);
  EXPECT_EQ(slow->answers, 0);
  // Further changes wait for their turn, but not without bound.
  std::vector<std::shared_ptr<FakeExchange>> others;
  for (size_t i = 0; i < TextPool::kQueuedPerThread; ++i) {
    others.push_back(admin.send("PATCH", R"({"max_queued_tokens":)" + std::to_string(i + 1) + "}", "Bearer open"));
  }
  const auto one_more = admin.send("PATCH", R"({"max_queued_requests":3})", "Bearer open");
  EXPECT_EQ(one_more->status, 429);
  EXPECT_EQ(one_more->error().at("code"), "slow_down");
  admin.leave.set_value();
  for (const auto& exchange : others) {
    admin.world.run_until([&] { return exchange->done; });
    EXPECT_EQ(exchange->status, 200);
  }
  EXPECT_EQ(slow->body, kLimitsJson);
  ASSERT_EQ(admin.patches.size(), 1 + TextPool::kQueuedPerThread);
  for (size_t i = 1; i < admin.patches.size(); ++i) {
    EXPECT_EQ(admin.patches[i].max_queued_tokens, static_cast<int64_t>(i)) << "in the order in which they came";
  }
}

TEST(Admin, AClientThatLeavesDoesNotStopItsChange) {
  Admin admin;
  admin.waits = true;
  const auto gone = admin.send("PATCH", R"({"max_queued_requests":1})", "Bearer open");
  admin.entered.get_future().wait();
  gone->leave();
  admin.leave.set_value();
  EXPECT_EQ(admin.patch(R"({"max_queued_requests":2})")->status, 200);
  EXPECT_EQ(admin.patches.size(), 2u);
}

}  // namespace
}  // namespace weir::api
