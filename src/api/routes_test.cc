#include "api/routes.h"

#include <gtest/gtest.h>

#include "api/auth.h"
#include "api/error.h"
#include "api/request_id.h"
#include "api/text_pool.h"
#include "base/thread.h"

namespace weir::api {
namespace {

TEST(Routes, PathAndMethod) {
  EXPECT_EQ(match_route("POST", "/v1/chat/completions").route, Route::kChat);
  EXPECT_EQ(match_route("GET", "/v1/chat/completions").route, Route::kWrongMethod);
  EXPECT_STREQ(match_route("GET", "/v1/chat/completions").allow, "POST");
  EXPECT_STREQ(match_route("DELETE", "/health").allow, "GET, HEAD");
  EXPECT_EQ(match_route("HEAD", "/health").route, Route::kHealth);
  EXPECT_EQ(match_route("GET", "/v1/models/org/name").route, Route::kModel);
  for (const char* path : {"/v1", "/v1/models/", "/v1/chat/completions/", "//", "*", "/METRICS", ""}) {
    EXPECT_EQ(match_route("GET", path).route, Route::kUnknownPath) << path;
  }
}

TEST(Routes, QueryAndEscapes) {
  EXPECT_EQ(query_value("a=1&format=te%78t", "format"), "text");
  EXPECT_EQ(query_value("format&x=1", "format"), "");
  EXPECT_EQ(query_value("", "format"), "");
  EXPECT_EQ(percent_decoded("a%2Fb%"), "a/b%");
  EXPECT_EQ(percent_decoded("%2"), "%2");
}

TEST(AuthTest, OnlyAKnownBearerPasses) {
  const TenantPolicy policy{.name = "acme", .keys = {sha256("one"), sha256("two")}};
  const TenantDirectory directory({{policy, 7}}, true);
  const Auth admin("one");
  for (const char* good : {"Bearer one", "bearer  one ", "BEARER two"}) {
    const auto caller = identify(directory, good);
    ASSERT_TRUE(caller.ok()) << good;
    EXPECT_EQ(caller->tenant, 7);
  }
  EXPECT_TRUE(admin.check("bearer  one ").ok());
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer on", "Bearer onee", "Basic one", "one", "Bearer one two"}) {
    EXPECT_EQ(identify(directory, wrong).status().code(), Code::kUnauthenticated) << wrong;
    EXPECT_EQ(admin.check(wrong).code(), Code::kUnauthenticated) << wrong;
  }
  EXPECT_FALSE(Auth("").check("Bearer ").ok()) << "no key is no way in";
  EXPECT_TRUE(identify(TenantDirectory({{{.name = "default"}, 0}}, false), "").ok()) << "no keys are asked for";
}

TEST(RequestId, SaneOnesAreKept) {
  RequestIds ids;
  EXPECT_EQ(ids.choose("abc-1"), "abc-1");
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a\r\nx: y"), std::string("\"q\""),
                                 std::string(129, 'a'), std::string("\xC3\xA4")}) {
    EXPECT_EQ(ids.choose(bad).substr(0, 4), "req-") << bad;
  }
  EXPECT_NE(ids.choose(""), ids.choose(""));
}

TEST(Errors, TheTable) {
  struct Want {
    Status status;
    int http;
    const char* code;
  };
  const Want table[] = {
      {{Code::kInvalidArgument, "m"}, 400, "null"},
      {{Code::kInvalidArgument, "m", "prompt_too_long"}, 400, "\"context_length_exceeded\""},
      {{Code::kInvalidArgument, "m", "prompt_over_pool"}, 400, "\"context_length_exceeded\""},
      {{Code::kUnauthenticated, "m", "unauthenticated"}, 401, "\"invalid_api_key\""},
      {{Code::kNotFound, "m"}, 404, "null"},
      {{Code::kTooLarge, "m"}, 413, "\"request_too_large\""},
      {{Code::kResourceExhausted, "m", "queue_full"}, 429, "\"slow_down\""},
      {{Code::kUnavailable, "m", "draining"}, 503, "\"server_is_overloaded\""},
      {{Code::kDeadlineExceeded, "m"}, 504, "\"timeout\""},
      {{Code::kUnimplemented, "m"}, 501, "\"unsupported\""},
      {{Code::kInternal, "m"}, 500, "\"internal_error\""},
      {{Code::kDataLoss, "m"}, 500, "\"internal_error\""},
  };
  for (const Want& want : table) {
    const ApiError error{.status = want.status, .param = "p\""};
    EXPECT_EQ(http_status(error), want.http);
    const std::string body = error_body(error);
    EXPECT_NE(body.find(std::string("\"code\":") + want.code), std::string::npos) << body;
    EXPECT_NE(body.find(R"("param":"p\"")"), std::string::npos) << body;
    EXPECT_EQ(body.find("\"reason\"") != std::string::npos, !want.status.reason().empty()) << body;
  }
}

TEST(TextPoolTest, FullIsAnAnswerAndStopRunsWhatIsQueued) {
  std::mutex gate;
  gate.lock();
  std::atomic<int> ran{0};
  std::atomic<uint64_t> dropped{0};
  TextPool pool("text", 1, 0, &dropped);
  EXPECT_FALSE(pool.try_run([] {})) << "it has no thread yet";
  ASSERT_TRUE(pool.start().ok());
  std::atomic<bool> started{false};
  ASSERT_TRUE(pool.try_run([&] {
    started = true;
    std::lock_guard wait(gate);
    ++ran;
  }));
  while (!started) std::this_thread::yield();
  for (size_t i = 0; i < TextPool::kQueuedPerThread; ++i) ASSERT_TRUE(pool.try_run([&] { ++ran; }));
  EXPECT_FALSE(pool.try_run([&] { ++ran; }));
  gate.unlock();
  pool.stop();
  EXPECT_EQ(ran.load(), 1 + static_cast<int>(TextPool::kQueuedPerThread));
  EXPECT_FALSE(pool.try_run([&] { ++ran; }));
  EXPECT_EQ(dropped, 0u);
}

TEST(Faults, a_job_that_throws_is_dropped_alone) {
  std::atomic<uint64_t> dropped{0};
  std::atomic<int> ran{0};
  const auto held = std::make_shared<int>(0);
  TextPool pool("text", 1, 0, &dropped);
  ASSERT_TRUE(pool.start().ok());
  ASSERT_TRUE(pool.try_run([held] { throw std::bad_alloc(); }));
  ASSERT_TRUE(pool.try_run([held] { throw std::runtime_error("for the log"); }));
  ASSERT_TRUE(pool.try_run([held] { throw 7; }));
  ASSERT_TRUE(pool.try_run([&] { ++ran; }));
  pool.stop();
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(dropped, 3u);
  EXPECT_EQ(held.use_count(), 1) << "what they held went with them";
}

TEST(Faults, no_thread_to_be_had_for_texts) {
  for (int had = 0; had < 3; ++had) {
    std::atomic<uint64_t> dropped{0};
    TextPool pool("text", 3, 0, &dropped);
    limit_thread_starts_for_test(had);
    const Status status = pool.start();
    limit_thread_starts_for_test(-1);
    EXPECT_EQ(status.code(), Code::kResourceExhausted) << had;
    EXPECT_FALSE(pool.try_run([] {})) << "it has no thread to run on";
  }
}

}  // namespace
}  // namespace weir::api
