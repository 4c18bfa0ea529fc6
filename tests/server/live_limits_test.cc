// PATCH /admin/limits on a whole server that serves: memory really goes back, nobody's answer changes, and what
// cannot be done changes nothing. What is asserted is counted, never timed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/sanitized.h"
#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

using ::testing::HasSubstr;

constexpr char kKey[] = "Authorization: Bearer open\r\n";
constexpr char kRunning[] = "weir_requests_running";
constexpr char kBlocks[] = "weir_kv_blocks";
constexpr int kLong = kSanitized ? 300 : 900;  // tokens; several blocks of 64
constexpr int kSession = 16;                   // blocks that a session of 1,024 tokens needs

class LiveLimitsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  }

  // The governor has a test of its own; elsewhere the machine's state, or a sanitizer's own memory, must not decide.
  static std::vector<std::string> flags(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--memory-governor", "off"});
    more.insert(more.end(), {"--admin-key", "open", "--max-concurrent-requests", "8", "--queue-timeout", "0"});
    return more;
  }
  static std::string limits(const ServerProcess& server) {
    return send(server.port(), "GET", "/admin/limits", "", kKey).body;
  }
  static Answer patch(const ServerProcess& server, const std::string& body) {
    return send(server.port(), "PATCH", "/admin/limits", body, kKey);
  }
  static std::string plan(const ServerProcess& server) { return get(server.port(), "/plan?format=text").body; }

  // Greedy streams of different stories.
  static void start_stories(const ServerProcess& server, Crowd* crowd) {
    const std::vector<std::string> names = {"Tom", "Lily", "Ben", "Mia", "Sam", "Sue"};
    for (const std::string& name : names) {
      crowd->connect(1);
      crowd->send(post_text("/v1/completions",
                            completion_body(name + " had a small dog", kLong, true, ", \"temperature\": 0")));
    }
    ASSERT_TRUE(server.wait_for_metric(kRunning, static_cast<double>(names.size()), 20'000)) << server.log();
  }
  static void start_streams(Crowd* crowd, int count) {
    crowd->connect(count);
    crowd->send(post_text("/v1/completions", completion_body("Once upon a time", kLong, true)));
  }

  // What a stream said, joined; its ids and times are left out.
  static std::string text_of(const Answer& answer) {
    const std::string body = without_chunks(answer.body), mark = "\"text\":\"";
    EXPECT_THAT(body, HasSubstr("data: [DONE]")) << answer.head;
    std::string text;
    for (size_t at = body.find(mark); at != std::string::npos; at = body.find(mark, at + 1)) {
      for (size_t i = at + mark.size(); i < body.size() && body[i] != '"'; ++i) {
        text += body[i];
        if (body[i] == '\\') text += body[++i];
      }
    }
    return text;
  }
  static std::vector<std::string> texts_of(Crowd* crowd) {
    EXPECT_TRUE(crowd->read_to_the_end(kSanitized ? 250'000 : 100'000));
    std::vector<std::string> texts;
    for (const Answer& answer : crowd->answers()) texts.push_back(text_of(answer));
    return texts;
  }
};

// Shrinking to one session preempts five of six; they come back and say what they would have said.
TEST_F(LiveLimitsTest, TheKvPoolShrinksAndGrowsUnderStreamsThatDoNotNotice) {
  ServerProcess server(flags({"--cache-max-entry-count", "256MiB"}));
  ASSERT_GT(server.port(), 0);
  const double large = server.metric_sum(kBlocks);
  ASSERT_GT(large, 100 * kSession);
  Crowd undisturbed(server.port());
  start_stories(server, &undisturbed);
  const std::vector<std::string> expected = texts_of(&undisturbed);
  ASSERT_GT(expected[0].size(), 500u);
  ASSERT_NE(expected[0], expected[1]);
  ASSERT_EQ(server.metric("weir_preemptions_total"), 0);

  Crowd crowd(server.port());
  start_stories(server, &crowd);
  // Together they hold more than one session needs.
  ASSERT_TRUE(wait_until([&] { return server.metric("weir_kv_blocks{state=\"live\"}") > kSession; }, 20'000));
  const uint64_t rss = server.rss_bytes();
  const Answer shrunk = patch(server, "{\"cache_max_entry_count\": " + std::to_string(kSession) + "}");
  ASSERT_EQ(shrunk.status, 200) << shrunk.body;
  EXPECT_THAT(shrunk.body, HasSubstr("\"kv_blocks\":16,"));
  EXPECT_EQ(server.metric_sum(kBlocks), kSession);
  EXPECT_THAT(plan(server), HasSubstr("16 blocks of 64 tokens"));
  EXPECT_EQ(server.metric("weir_memory_plan_bytes"), static_cast<double>(server.plan_bytes()));
  if (!kSanitized) {
    EXPECT_LT(server.rss_bytes() + 200 * kMiB, rss) << "254 MiB were returned";
  }
  EXPECT_GT(server.metric(kRunning), 0) << "they go on";
  EXPECT_GE(server.metric("weir_preemptions_total"), 1);
  crowd.read_for(50);
  const Answer grown = patch(server, R"({"cache_max_entry_count": "256MiB"})");
  ASSERT_EQ(grown.status, 200) << grown.body;
  EXPECT_EQ(server.metric_sum(kBlocks), large);
  EXPECT_THAT(plan(server), HasSubstr("2,730 blocks of 64 tokens"));
  if (!kSanitized) {
    EXPECT_GT(server.rss_bytes() + 30 * kMiB, rss) << "what is promised is touched";
  }
  EXPECT_EQ(texts_of(&crowd), expected);
  EXPECT_GE(server.metric("weir_pool_resizes_total"), 2);
  EXPECT_TRUE(server.says("limits changed: 16 KV blocks (16)")) << server.log();
  if (!kSanitized) {
    EXPECT_LE(server.peak_bytes(), server.plan_bytes());
    EXPECT_EQ(server.metric("weir_sealed_allocations_total{thread=\"engine\"}"), 0);
  }
}

TEST_F(LiveLimitsTest, PlacesAreTakenAwayAndGivenBack) {
  ServerProcess server(flags());
  ASSERT_GT(server.port(), 0);
  ASSERT_EQ(patch(server, R"({"max_concurrent_requests": 2})").status, 200);
  Crowd crowd(server.port());
  start_streams(&crowd, 6);
  EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 4, 20'000));
  EXPECT_EQ(server.metric(kRunning), 2);
  const Answer both = post(server.port(), "/v1/completions", completion_body("Once", 2, false, ", \"n\": 3"));
  EXPECT_EQ(both.status, 429) << "three can run together when the limit is what it was";
  EXPECT_THAT(both.body, HasSubstr("limit_lowered"));
  const Answer never = post(server.port(), "/v1/completions", completion_body("Once", 2, false, ", \"n\": 9"));
  EXPECT_EQ(never.status, 400) << "nine never could";
  EXPECT_THAT(never.body, HasSubstr("too_many_sequences"));
  ASSERT_EQ(patch(server, R"({"max_concurrent_requests": 5})").status, 200);
  EXPECT_TRUE(server.wait_for_metric(kRunning, 5, 20'000));
  // What runs is not cut off by a lower limit; the next one starts only below it.
  ASSERT_EQ(patch(server, R"({"max_concurrent_requests": 1})").status, 200);
  EXPECT_EQ(server.metric(kRunning), 5);
  EXPECT_EQ(server.metric("weir_requests_waiting"), 1);
  for (size_t i = 0; i < 5; ++i) crowd.hang_up(i);  // the sixth may have started before: hang_up is by connection
  ASSERT_TRUE(crowd.read_to_the_end(100'000));
  EXPECT_TRUE(server.wait_for_metric(kRunning, 0, 20'000));
  EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200);
}

TEST_F(LiveLimitsTest, ADryRunSaysWhatWouldBeAndChangesNothing) {
  ServerProcess server(flags({"--cache-max-entry-count", "64MiB"}));
  ASSERT_GT(server.port(), 0);
  const std::string before = limits(server), table = plan(server);
  const std::string fields =
      R"("cache_max_entry_count": 16, "max_concurrent_requests": 3, "max_queued_requests": 5)";
  const Answer dry = patch(server, "{" + fields + R"(, "dry_run": true})");
  ASSERT_EQ(dry.status, 200) << dry.body;
  EXPECT_EQ(limits(server), before);
  EXPECT_EQ(plan(server), table);
  EXPECT_EQ(server.metric("weir_pool_resizes_total"), 0);
  EXPECT_EQ(patch(server, R"({"cache_max_entry_count": 2, "dry_run": true})").status, 400)
      << "checked like a change";
  EXPECT_EQ(patch(server, R"({"max_concurrent_requests": 1000, "dry_run": true})").status, 400);
  EXPECT_EQ(limits(server), before);
  const Answer real = patch(server, "{" + fields + "}");
  EXPECT_EQ("{\"dry_run\":true," + real.body.substr(1), dry.body) << "what it said is what comes";
  EXPECT_NE(limits(server), before);
}

TEST_F(LiveLimitsTest, AQueueOfNothingRefusesAtOnce) {
  ServerProcess server(flags());
  ASSERT_GT(server.port(), 0);
  ASSERT_EQ(patch(server, R"({"max_concurrent_requests": 1, "max_queued_requests": 0})").status, 200);
  Crowd crowd(server.port());
  start_streams(&crowd, 1);
  ASSERT_TRUE(server.wait_for_metric(kRunning, 1, 20'000));
  const Answer refused = post(server.port(), "/v1/completions", completion_body("Once", 2, false));
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("\"reason\":\"queue_full\""));
  ASSERT_EQ(patch(server, R"({"max_queued_requests": 1, "max_queued_tokens": 4})").status, 200);
  const Answer heavy =
      post(server.port(), "/v1/completions", completion_body("one two three four five six", 2, false));
  EXPECT_EQ(heavy.status, 429);
  EXPECT_THAT(heavy.body, HasSubstr("\"reason\":\"limit_lowered\""));
  start_streams(&crowd, 1);
  ASSERT_TRUE(server.wait_for_metric("weir_requests_waiting", 1, 20'000));
  crowd.hang_up(0);
  EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 0, 20'000)) << "it starts";
  crowd.hang_up(1);
}

TEST_F(LiveLimitsTest, WhatCannotBeDoneChangesNothingAndSaysWhy) {
  ServerProcess server(flags({"--cache-max-entry-count", "64MiB"}));
  ASSERT_GT(server.port(), 0);
  const std::string before = limits(server), table = plan(server);
  ASSERT_THAT(before, HasSubstr("\"kv_blocks\":682,"));
  struct Case {
    const char* body;
    const char* mention;
  };
  const Case cases[] = {
      {R"({"cache_max_entry_count": 15})", "one sequence of --session-len 1024 needs 16 KV blocks"},
      {R"({"cache_max_entry_count": "1KiB"})", "needs 16 KV blocks"},
      {R"({"cache_max_entry_count": 1e-9})", "needs 16 KV blocks"},
      {R"({"cache_max_entry_count": 683})", "683 blocks are more than the 682"},
      {R"({"cache_max_entry_count": "900GiB"})", "asks for 900.0 GiB"},
      {R"({"cache_max_entry_count": 1.5})", "'1.5' is no cache size"},
      {R"({"cache_max_entry_count": "lots"})", "'lots' is no cache size"},
      {R"({"cache_max_entry_count": -1})", "'-1' is no cache size"},
      {R"({"max_concurrent_requests": 9})", "larger --max-batch-size"},
      {R"({"max_queued_requests": 1025})", "larger --max-queued-requests"},
      {R"({"max_queued_tokens": 1000000000000})", "larger --host-request-bytes"},
      // One impossible field and nothing of the others is done.
      {R"({"max_concurrent_requests": 2, "max_queued_requests": 0, "cache_max_entry_count": "lots"})", "lots"},
      {R"({"cache_max_entry_count": 32, "max_concurrent_requests": 9})", "9 is above the 8"},
      {R"({"cache_max_entry_count": 32, "session_len": 9})", "session_len is no limit that can be changed"},
      {R"({"cache_max_entry_count": 32)", "not valid JSON"}};
  for (const Case& bad : cases) {
    const Answer answer = patch(server, bad.body);
    EXPECT_EQ(answer.status, 400) << bad.body;
    EXPECT_THAT(answer.body, HasSubstr(bad.mention)) << bad.body;
    EXPECT_EQ(limits(server), before) << bad.body;
  }
  for (const char* key : {"", "Authorization: Bearer wrong\r\n", "Authorization: Basic open\r\n"}) {
    EXPECT_EQ(send(server.port(), "PATCH", "/admin/limits", R"({"max_queued_requests": 0})", key).status, 401)
        << key;
    EXPECT_EQ(send(server.port(), "GET", "/admin/limits", "", key).status, 401) << key;
  }
  EXPECT_EQ(limits(server), before);
  EXPECT_EQ(plan(server), table);
  EXPECT_EQ(server.metric("weir_pool_resizes_total"), 0);
  EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200);
}

// The governor's first stage: no new memory for the pool, whoever asks; giving back is welcome.
TEST_F(LiveLimitsTest, AMachineThatIsShortOfMemoryIsNotAskedForMore) {
  FakeRoot root;
  root.available(8 * kGiB);
  ServerProcess server(flags({"--cache-max-entry-count", "64MiB", "--system-root", root.path(), "--memory-poll",
                              "20ms", "--memory-reserve", "256MiB", "--memory-governor", "on"}));
  ASSERT_GT(server.port(), 0);
  ASSERT_EQ(patch(server, R"({"cache_max_entry_count": 100})").status, 200);
  root.available(230 * kMiB);  // nine tenths of the reserve
  ASSERT_TRUE(server.wait_for_metric("weir_memory_stage", 1, 20'000)) << server.log();
  const std::string before = limits(server);
  const Answer refused = patch(server, R"({"cache_max_entry_count": 200, "max_queued_requests": 7})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("the machine does not have the memory for 200 blocks now"));
  EXPECT_GE(std::atoi(refused.header("retry-after").c_str()), 1);
  EXPECT_EQ(limits(server), before) << "nor the other half of it";
  EXPECT_EQ(server.metric_sum(kBlocks), 100);
  EXPECT_EQ(patch(server, R"({"cache_max_entry_count": 50})").status, 200);
  EXPECT_EQ(server.metric_sum(kBlocks), 50);
  root.available(8 * kGiB);
  ASSERT_TRUE(server.wait_for_metric("weir_memory_stage", 0, 20'000)) << server.log();
  EXPECT_EQ(patch(server, R"({"cache_max_entry_count": 200})").status, 200);
  EXPECT_EQ(server.metric_sum(kBlocks), 200);
}

TEST_F(LiveLimitsTest, WithoutAnAdminKeyNobodyChangesAnything) {
  ServerProcess server({"--api-keys", "open"});
  ASSERT_GT(server.port(), 0);
  const Answer answer = patch(server, R"({"max_queued_requests": 0})");
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("--admin-key"));
}

TEST_F(LiveLimitsTest, GuaranteedRequestsKeepWhatTheyWerePromised) {
  ServerProcess server(flags({"--reservation", "guaranteed"}));
  ASSERT_GT(server.port(), 0);
  const double blocks = server.metric_sum(kBlocks);
  Crowd crowd(server.port());
  start_streams(&crowd, 4);
  ASSERT_TRUE(server.wait_for_metric(kRunning, 4, 20'000));
  const double held = server.metric("weir_kv_blocks{state=\"live\"}");
  ASSERT_GE(held, 4 * (kLong / 64)) << "from the start";
  const std::string before = limits(server);
  const Answer refused = patch(server, "{\"cache_max_entry_count\": " + std::to_string(kSession) + "}");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("16 blocks are fewer than running requests have been guaranteed"));
  EXPECT_EQ(limits(server), before);
  EXPECT_EQ(server.metric_sum(kBlocks), blocks);
  EXPECT_EQ(patch(server, "{\"cache_max_entry_count\": " + std::to_string(static_cast<int>(held)) + "}").status,
            200)
      << "what they hold is enough";
  ASSERT_TRUE(crowd.read_to_the_end(kSanitized ? 250'000 : 100'000));
  for (const Answer& answer : crowd.answers()) EXPECT_THAT(answer.body, HasSubstr("data: [DONE]")) << answer.head;
  EXPECT_EQ(server.metric("weir_preemptions_total"), 0);
  EXPECT_EQ(patch(server, "{\"cache_max_entry_count\": " + std::to_string(kSession) + "}").status, 200)
      << "they have ended";
}

}  // namespace
}  // namespace weir::testing
