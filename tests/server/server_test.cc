// The whole server as a stranger meets it: a process, sockets, /metrics and /proc. What is asserted about load is
// counted, never timed.
#include "base/sanitized.h"
#include "server/server_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "server/client.h"
#include "support/random_checkpoint.h"

namespace weir::testing {
namespace {

// A sanitizer makes the server about ten times slower: the same tests with fewer requests.
constexpr bool kSlow = kSanitized;

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  }
  static void expect_all_returned(ServerProcess& server) {
    ASSERT_TRUE(server.running()) << server.log();
    EXPECT_TRUE(server.wait_for_metric("weir_requests_running", 0, 20'000));
    EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 0, 5'000));
    EXPECT_TRUE(server.wait_for_metric("weir_kv_blocks{state=\"live\"}", 0, 5'000));
    for (const char* kind : {"body", "request", "prompt_ids", "output", "logprobs", "sampler", "sse", "socket"}) {
      EXPECT_TRUE(server.wait_for_metric("weir_host_bytes{kind=\"" + std::string(kind) + "\"}", 0, 5'000)) << kind;
    }
    EXPECT_EQ(get(server.port(), "/health/live").status, 200);
    EXPECT_EQ(get(server.port(), "/health/ready").status, 200);
  }
  static void expect_within_plan(const ServerProcess& server) {
    if (kSlow) return;  // a sanitizer's shadow memory is nobody's plan
    EXPECT_LE(server.peak_bytes(), server.plan_bytes());
    EXPECT_GT(server.peak_bytes(), 0u);
    // What was promised at the seal held through all of it (-1: there is no worker).
    EXPECT_EQ(server.metric("weir_sealed_allocations_total{thread=\"engine\"}"), 0);
    EXPECT_LE(server.metric("weir_sealed_allocations_total{thread=\"worker\"}"), 0);
  }
};

using Traps = ServerTest;

// Everything that a client sees but the id: the same with drafts and without, and drafts there were, right and wrong.
TEST_F(ServerTest, SpeculationChangesNoAnswer) {
  ServerProcess off({}), on({"--speculative", "ngram", "--speculative-tokens", "6"});
  const std::string prompt = "One day a dog saw a dog. One day a dog saw a cat. One day a dog saw a";
  const std::string two_words = ", \"logit_bias\": {\"300\": 60, \"301\": 60}";  // over and over
  // What repeats itself comes first: until the server has learnt what a step costs, which a busy machine disturbs, the
  // price of a draft is a constant.
  for (const std::string& how : {", \"temperature\": 0" + two_words, ", \"temperature\": 1, \"seed\": 4" + two_words,
                                 std::string(", \"temperature\": 0"), std::string(", \"temperature\": 0.5, \"seed\": 3, \"logprobs\": 2")}) {
    const std::string body = "{\"prompt\": \"" + prompt + "\", \"max_tokens\": 60, \"ignore_eos\": true" + how + "}";
    const Answer want = post(off.port(), "/v1/completions", body), got = post(on.port(), "/v1/completions", body);
    ASSERT_EQ(want.status, 200) << want.body;
    const size_t choices = want.body.find("\"choices\"");
    ASSERT_NE(choices, std::string::npos) << want.body;
    EXPECT_NE(want.body.find("\"usage\"", choices), std::string::npos) << "behind the choices, so it is compared too";
    EXPECT_EQ(got.body.substr(got.body.find("\"choices\"")), want.body.substr(choices)) << how;
  }
  EXPECT_GT(on.metric("weir_spec_accepted_tokens_total"), 0);
  EXPECT_GE(on.metric("weir_spec_drafted_tokens_total"), on.metric("weir_spec_accepted_tokens_total"));
  EXPECT_GT(on.metric("weir_spec_steps_total"), 0);
  EXPECT_EQ(on.metric("weir_output_tokens_total"), off.metric("weir_output_tokens_total"));
  EXPECT_EQ(off.metric("weir_spec_drafted_tokens_total"), 0);
  expect_all_returned(on);
  expect_within_plan(on);
}

// The issue's own numbers: 500 streams against 8 places and a queue of 64.
TEST_F(ServerTest, FiveHundredStreamsEightRunSixtyFourWaitTheRestIsRefused) {
  // Random weights behind the demo's tokeniser, large enough that nothing ends while 500 requests are being read.
  const std::string dir = std::filesystem::temp_directory_path() / ("weir-500-" + std::to_string(getpid()));
  ASSERT_TRUE(write_random_checkpoint(dir, kSmallConfig).ok());
  std::filesystem::copy_file(demo_model() + "/tokenizer.json", dir + "/tokenizer.json");
  ServerProcess server({"--max-concurrent-requests", "8", "--max-queued-requests", "64", "--queue-timeout", "0"}, dir);
  std::filesystem::remove_all(dir);
  Crowd crowd(server.port());
  // All 500 requests lie in the kernel's buffers when the server first looks, so that none ends before all have come.
  crowd.connect(500);
  server.signal(SIGSTOP);
  crowd.send(post_text("/v1/completions", completion_body("Once upon a time", kSlow ? 60 : 400, true)));
  server.signal(SIGCONT);
  const auto refused = [&] { return server.metric("weir_refusals_total{reason=\"queue_full\"}"); };
  for (int i = 0; i < 3000 && refused() < 428; ++i) crowd.read_for(10);
  EXPECT_EQ(refused(), 428);
  // The gauges follow the engine's steps.
  EXPECT_TRUE(server.wait_for_metric("weir_requests_running", 8, 5'000));
  EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 64, 5'000));
  // Traps full_queue_is_not_unhealthy and health_waits_in_the_queue, at the real thing.
  EXPECT_EQ(get(server.port(), "/health").status, 200);
  EXPECT_EQ(get(server.port(), "/health/live").status, 200);
  ASSERT_TRUE(crowd.read_to_the_end(kSlow ? 400'000 : 100'000));
  int finished = 0, rejected = 0;
  for (const Answer& answer : crowd.answers()) {
    if (answer.status == 200) {
      finished += answer.body.find("data: [DONE]") != std::string::npos;
    } else {
      EXPECT_EQ(answer.status, 429);
      EXPECT_NE(answer.body.find("slow_down"), std::string::npos);
      const int retry = std::atoi(answer.header("retry-after").c_str());
      EXPECT_TRUE(retry >= 1 && retry <= 60) << answer.head;
      ++rejected;
    }
  }
  EXPECT_EQ(finished, 72) << "every accepted one finishes";
  EXPECT_EQ(rejected, 428);
  expect_within_plan(server);
  expect_all_returned(server);
}

// Clients in a process of their own, killed while connecting, waiting, in prefill and mid-stream.
TEST_F(ServerTest, KillingClientsInTheMiddleOfEverythingLeavesNothingBehind) {
  ServerProcess server({"--max-concurrent-requests", "4", "--max-queued-requests", "64"});
  for (int round = 0; round < (kSlow ? 3 : 8); ++round) {
    const pid_t child = fork();
    if (child == 0) {
      Crowd crowd(server.port());
      crowd.connect(40);
      crowd.send(post_text("/v1/completions", completion_body("Once upon a time there was", 900, round % 2 == 0)));
      const int half = connect_to(server.port());
      send_all(half, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"prompt\"");
      crowd.read_for(10'000);
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + 40 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_EQ(get(server.port(), "/health/live").status, 200);
  }
  expect_all_returned(server);
  expect_within_plan(server);
}

TEST_F(Traps, limiter_hides_disconnects) {
  ServerProcess server({"--max-concurrent-requests", "1", "--max-queued-requests", "4"});
  Crowd crowd(server.port());
  crowd.connect(3);
  crowd.send(post_text("/v1/completions", completion_body("A", 900, true)));
  ASSERT_TRUE(server.wait_for_metric("weir_requests_waiting", 2, 10'000));
  crowd.hang_up(2);
  EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 1, 1'000)) << "noticed while it waits";
  crowd.hang_up(0);
  EXPECT_TRUE(server.wait_for_metric("weir_requests_waiting", 0, 1'000)) << "its place went to the next";
}

TEST_F(ServerTest, AClientThatNeverReadsIsCutOff) {
  ServerProcess server({"--max-concurrent-requests", "2", "--max-queued-requests", "2"});
  // Twenty alternatives make an event of about 1.5 KiB: 1000 of them are more than the socket buffers of both ends
  // hold (small here) and the 256 KiB of the server's own.
  std::vector<int> sockets;
  for (int i = 0; i < 2; ++i) {
    const int fd = connect_to(server.port(), 4096);
    send_all(fd, post_text("/v1/chat/completions",
                           "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"stream\": true, \"logprobs\": true, "
                           "\"top_logprobs\": 20, \"ignore_eos\": true, \"max_tokens\": 1000}"));
    sockets.push_back(fd);
  }
  EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200)
      << "others are served";
  EXPECT_TRUE(server.wait_for_metric("weir_requests_abandoned_total{why=\"slow_reader\"}", 2, 20'000));
  for (const int fd : sockets) close(fd);
  expect_all_returned(server);
  expect_within_plan(server);
}

TEST_F(ServerTest, BadInputIsAClearErrorAndNothingElse) {
  ServerProcess server({"--max-concurrent-requests", "2", "--max-body-bytes", "1MiB"});
  const std::string deep = "{\"prompt\": " + std::string(100, '[') + std::string(100, ']') + "}";
  struct Bad {
    std::string body;
    int status;
    std::string mention;
  };
  const std::vector<Bad> cases = {
      {"", 400, "error"},
      {"{\"prompt\": \"a\"", 400, "error"},
      {deep, 400, "error"},
      {std::string(2 << 20, 'x'), 413, "error"},
      {"{\"prompt\": \"\xff\xfe\"}", 400, "error"},
      {"{\"prompt\": \"\\ud800\"}", 400, "error"},
      {"{\"prompt\": \"a\", \"max_tokens\": -1}", 400, "max_tokens"},
      {"{\"prompt\": \"a\", \"max_tokens\": 1e300}", 400, "max_tokens"},
      {"{\"prompt\": \"a\", \"temperature\": \"hot\"}", 400, "temperature"},
      {"{\"prompt\": \"a\", \"n\": 1000000}", 400, "n"},
      {"{\"prompt\": \"a\", \"n\": 3}", 400, "3"},
      {"{\"prompt\": \"a\", \"max_tokens\": 99999999}", 400, "context"},
      {"{\"prompt\": \"a\", \"model\": \"gpt-9\"}", 404, "gpt-9"},
      {"{\"prompt\": 7}", 400, "prompt"},
      {"[1,2]", 400, "error"},
  };
  for (const Bad& bad : cases) {
    const Answer answer = post(server.port(), "/v1/completions", bad.body);
    EXPECT_EQ(answer.status, bad.status) << bad.body.substr(0, 60);
    EXPECT_NE(answer.body.find(bad.mention), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find("\"error\""), std::string::npos) << answer.body;
  }
  std::string words;
  for (int i = 0; i < 20000; ++i) words += "word ";
  const Answer long_prompt = post(server.port(), "/v1/completions", completion_body(words, 1, false));
  EXPECT_EQ(long_prompt.status, 400);
  EXPECT_NE(long_prompt.body.find("context_length_exceeded"), std::string::npos) << long_prompt.body;
  EXPECT_EQ(get(server.port(), "/nowhere").status, 404);
  EXPECT_EQ(get(server.port(), "/v1/completions").status, 405);
  expect_all_returned(server);
}

TEST_F(ServerTest, SigtermDrainsAndExitsZero) {
  ServerProcess server({"--max-concurrent-requests", "2"});
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(post_text("/v1/completions", completion_body("Once upon a time", 600, true)));
  ASSERT_TRUE(server.wait_for_metric("weir_requests_running", 1, 10'000));
  server.signal(SIGTERM);
  EXPECT_TRUE(crowd.read_to_the_end(100'000));
  EXPECT_NE(crowd.answers()[0].body.find("data: [DONE]"), std::string::npos) << "a running answer is finished";
  EXPECT_EQ(server.wait_for_exit(20'000), 0) << server.log();
}

TEST_F(ServerTest, ASecondSignalStopsAtOnce) {
  ServerProcess server({"--max-concurrent-requests", "2"});
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(post_text("/v1/chat/completions",
                       "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"ignore_eos\": true, \"stream\": true, "
                       "\"max_tokens\": 900}"));
  ASSERT_TRUE(server.wait_for_metric("weir_requests_running", 1, 10'000));
  server.signal(SIGTERM);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  server.signal(SIGTERM);
  const int status = server.wait_for_exit(20'000);
  EXPECT_TRUE(status == 143 || status == 0) << status;  // 0 where the answer was done within the 30 ms
}

// A ledger far too small for what is asked of it: answers end with their reason, the door refuses with a hint, nothing is
// lost and the server goes on.
TEST_F(ServerTest, ASmallLedgerRefusesAndServesOn) {
  ServerProcess server({"--max-concurrent-requests", "4", "--host-request-bytes", "1MiB", "--host-bytes-per-request", "256KiB"});
  const std::string greedy = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"logprobs\": true, "
                             "\"top_logprobs\": 20, \"ignore_eos\": true, \"max_tokens\": 900}";
  const Answer midway = post(server.port(), "/v1/chat/completions", greedy);
  EXPECT_EQ(midway.status, 400) << midway.body.substr(0, 200);
  EXPECT_NE(midway.body.find("\"reason\":\"over_host_bytes\""), std::string::npos) << midway.body.substr(0, 300);
  EXPECT_NE(midway.body.find("262144"), std::string::npos);
  const Answer large = post(server.port(), "/v1/completions", "{\"prompt\": \"" + std::string(400'000, 'x') + "\"}");
  EXPECT_EQ(large.status, 413) << large.body;
  EXPECT_NE(large.body.find("\"reason\":\"over_host_bytes\""), std::string::npos) << large.body;
  // Ten half-sent bodies of 200 KB hold the ledger; whoever comes then is told when to come back.
  std::vector<int> halves;
  for (int i = 0; i < 10; ++i) {
    halves.push_back(connect_to(server.port()));
    send_all(halves.back(), "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + std::string(120'000, ' '));
  }
  const auto refusals = [&] { return server.metric("weir_host_refusals_total{limit=\"total\"}"); };
  for (int i = 0; i < 500 && refusals() <= 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GT(refusals(), 0);
  for (const int fd : halves) close(fd);
  EXPECT_EQ(post(server.port(), "/v1/completions", completion_body("Once", 2, false)).status, 200);
  expect_all_returned(server);
  EXPECT_LE(server.metric("weir_host_bytes_peak"), 1 << 20);
  expect_within_plan(server);
}

TEST_F(ServerTest, APlanThatDoesNotFitIsRefusedWithAWayOut) {
  const std::string command = std::string(WEIR_BINARY) + " serve " + demo_model() + " --memory-limit 32MiB 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, count);
  const int status = pclose(pipe);
  EXPECT_EQ(WEXITSTATUS(status), 3) << text;
  EXPECT_NE(text.find("32"), std::string::npos) << text;
}

}  // namespace
}  // namespace weir::testing
