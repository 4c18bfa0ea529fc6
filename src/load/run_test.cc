// Whole load tests on loopback: against the null server, and against servers that mean ill.
#include "load/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/thread.h"
#include "load/null_server.h"
#include "load/preflight.h"
#include "load/report.h"
#include "load/testing_server.h"

namespace weir::load {
namespace {

using ::testing::HasSubstr;

class NullServerThread {
 public:
  explicit NullServerThread(const NullServerOptions& options = {})
      : server_(std::move(*NullServer::open(options))), thread_([this] { server_->run(); }) {}
  ~NullServerThread() {
    server_->stop();
    thread_.join();
  }
  ServerAddress address() const { return {"127.0.0.1", std::to_string(server_->port()), "/v1"}; }
  uint64_t requests() const { return server_->requests(); }

 private:
  std::unique_ptr<NullServer> server_;
  std::thread thread_;
};

RunResult run(
    const ServerAddress& address, const RunOptions& options, WorkloadOptions content,
    const std::function<bool(const LiveTotals&)>& look = [](const LiveTotals&) { return true; }) {
  content.server = address;
  content.model = "null";
  SocketAddress target;
  const Result<Socket> reached = dial(address, nullptr, &target);
  WEIR_CHECK(reached.ok());
  const Workload workload(content);
  Result<RunResult> result = run_load(options, workload, target, look);
  WEIR_CHECK(result.ok());
  return std::move(*result);
}

WorkloadOptions short_content() {
  WorkloadOptions content;
  content.prompt_tokens = *LengthSpec::parse("4");
  content.output_tokens = *LengthSpec::parse("8");
  return content;
}

TEST(RunLoad, OpenLoopWithAbortsAndRefusalsAddsUp) {
  const NullServerThread server({.refuse_every = 5});
  WorkloadOptions content = short_content();
  content.abort_fraction = 0.3;
  content.tenants = {{.name = "a", .key = "k"}, {.name = "b", .share = 3}};
  const RunResult result = run(server.address(), {.rate = 5000, .requests = 200}, content);
  const Meter& meter = result.meter;
  EXPECT_EQ(meter.sent, 200u);
  EXPECT_EQ(meter.refused, 40u);
  EXPECT_EQ((meter.refusals.at({429, "queue_full", "slow_down"})), 40u);
  EXPECT_EQ(meter.with_retry_after, 40u);
  EXPECT_GT(meter.aborted, 20u);
  EXPECT_EQ(meter.completed + meter.aborted, 160u);
  EXPECT_EQ(meter.failed, 0u);
  EXPECT_EQ(meter.whole.count(), meter.completed);
  EXPECT_EQ(meter.ttft.count(), 160u);
  EXPECT_EQ(meter.tenants[0].sent + meter.tenants[1].sent, 200u);
  EXPECT_EQ(server.requests(), 200u);
  EXPECT_EQ(meter.series.in_flight().back(), 0);
}

TEST(RunLoad, ClosedLoopOverSeveralThreadsSendsEachRequestOnce) {
  const NullServerThread server;
  const RunResult result =
      run(server.address(), {.threads = 3, .concurrency = 7, .requests = 150}, short_content());
  EXPECT_EQ(result.meter.completed, 150u);
  EXPECT_EQ(result.meter.output_tokens, 150 * 8);
  EXPECT_EQ(result.meter.prompt_tokens, 150 * 4);
  EXPECT_LE(result.meter.connects, 7u);  // the rest went out on kept connections
  EXPECT_EQ(server.requests(), 150u);
}

// The workers that had a thread end early, and the run is an error.
TEST(Faults, no_thread_to_be_had_for_a_load_test) {
  const NullServerThread server;
  for (int had = 0; had < 3; ++had) {
    WorkloadOptions content = short_content();
    content.server = server.address();
    content.model = "null";
    SocketAddress target;
    ASSERT_TRUE(dial(content.server, nullptr, &target).ok());
    const RunOptions options{.threads = 3, .concurrency = 3, .requests = 1'000'000};
    const Workload workload(content);
    limit_thread_starts_for_test(had);
    const Result<RunResult> result = run_load(options, workload, target, [](const LiveTotals&) { return true; });
    limit_thread_starts_for_test(-1);
    EXPECT_EQ(result.status().code(), Code::kResourceExhausted) << had;
  }
}

TEST(RunLoad, WithoutStreamOrKeptConnections) {
  const NullServerThread server;
  WorkloadOptions content = short_content();
  content.stream = false;
  content.endpoint = Endpoint::kCompletions;
  const RunResult result = run(server.address(), {.concurrency = 2, .requests = 20, .keep_alive = false}, content);
  EXPECT_EQ(result.meter.completed, 20u);
  EXPECT_EQ(result.meter.ttft.count(), 0u);
  EXPECT_EQ(result.meter.output_tokens, 20 * 8);
  EXPECT_EQ(result.meter.connects, 20u);
}

TEST(RunLoad, SlowReadersFinishAndAreKeptOutOfTheLatencies) {
  const NullServerThread server;
  WorkloadOptions content = short_content();
  content.slow_fraction = 1;
  const RunResult result =
      run(server.address(), {.concurrency = 3, .requests = 3, .slow_bytes_per_s = 1 << 20}, content);
  EXPECT_EQ(result.meter.completed, 3u);
  EXPECT_EQ(result.meter.slow, 3u);
  EXPECT_EQ(result.meter.ttft.count(), 0u);
  EXPECT_EQ(result.meter.met, 0u);
}

TEST(RunLoad, WarmUpIsSentAndNotMeasured) {
  const NullServerThread server;
  RunOptions options{.rate = 1000, .requests = 60, .warmup_us = 30'000};
  options.arrivals = *ArrivalSpec::parse("constant");
  const RunResult result = run(server.address(), options, short_content());
  EXPECT_EQ(result.meter.warmup, 30u);
  EXPECT_EQ(result.meter.sent, 30u);
  EXPECT_EQ(server.requests(), 60u);
}

TEST(RunLoad, AFullHouseIsOurFailureAndDelaysNobody) {
  const NullServerThread server({.token_us = 60'000'000});  // nobody is ever answered
  RunOptions options{.rate = 2000, .requests = 10, .timeout_us = 200'000, .connections_max = 4};
  const RunResult result = run(server.address(), options, short_content());
  EXPECT_EQ(result.meter.failures[static_cast<size_t>(Failure::kTooManyInFlight)], 6u);
  EXPECT_EQ(result.meter.failures[static_cast<size_t>(Failure::kTimeout)], 4u);
}

TEST(RunLoad, StoppingKeepsWhatWasMeasured) {
  const NullServerThread server({.token_us = 60'000'000});
  const RunResult result = run(server.address(), {.concurrency = 5, .duration_us = 600'000'000}, short_content(),
                               [](const LiveTotals& totals) { return totals.sent < 5; });
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.meter.interrupted, 5u);
  EXPECT_EQ(result.meter.sent, 5u);
}

SocketAddress loopback(const ServerAddress& server) {
  SocketAddress target;
  target.size = sizeof(sockaddr_in);
  auto* address = reinterpret_cast<sockaddr_in*>(&target.storage);
  address->sin_family = AF_INET;
  address->sin_port = htons(static_cast<uint16_t>(std::stoi(server.port)));
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return target;
}

// Three requests, each on a connection that gets `answer`. hold: and is then kept open.
uint64_t failures_against(const std::string& answer, Failure failure, bool hold = false) {
  const std::vector<std::string> answers(3, answer);
  FakeServer server(answers, 7, hold);
  WorkloadOptions content = short_content();
  content.server = server.address();
  const RunOptions options{.rate = 1000, .requests = 3, .timeout_us = hold ? 100'000 : 600'000'000};
  const Result<RunResult> result =
      run_load(options, Workload(content), loopback(server.address()), [](const LiveTotals&) { return true; });
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result->meter.sent, 3u);
  return result->meter.failures[static_cast<size_t>(failure)];
}

TEST(RunLoad, EveryKindOfIllWillIsCountedAndNothingHangs) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
  EXPECT_EQ(failures_against("", Failure::kClosedAtOnce), 3u);
  EXPECT_EQ(failures_against("nonsense\r\n\r\n", Failure::kBadStatusLine), 3u);
  EXPECT_EQ(failures_against("HTTP/1.1 200 OK\r\n" + std::string(70'000, 'h'), Failure::kHeadTooLarge), 3u);
  EXPECT_EQ(failures_against(head + "Content-Length: 10\r\n\r\nda", Failure::kClosedInAnswer), 3u);
  EXPECT_EQ(failures_against(head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", Failure::kBadChunk), 3u);
  EXPECT_EQ(failures_against(head + "\r\ndata: {\"choices\":[", Failure::kHalfEvent), 3u);
  EXPECT_EQ(failures_against(head + "\r\ndata: {]}\n\n", Failure::kBadJson), 3u);
  EXPECT_EQ(failures_against(head + "\r\n", Failure::kTimeout, true), 3u);
}

// It promises to keep the connection and hangs up: whether the tester sees that before or after it has sent the
// next request, that request goes out again on a new connection.
TEST(RunLoad, AKeptConnectionThatWasClosedIsReplaced) {
  const std::string body = "{\"choices\":[{\"text\":\"a\"}]}";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  FakeServer server(std::vector<std::string>(5, answer), 1000);
  WorkloadOptions content = short_content();
  content.stream = false;
  content.server = server.address();
  const RunOptions options{.concurrency = 1, .requests = 5};
  const Result<RunResult> result =
      run_load(options, Workload(content), loopback(server.address()), [](const LiveTotals&) { return true; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->meter.completed, 5u);
  EXPECT_EQ(result->meter.connects, 5u);
  EXPECT_EQ(server.requests().size(), 5u);
}

// llama-server does it after every stream. The end is told once, with the last bytes: whoever keeps that connection
// sends the next request to nobody.
TEST(RunLoad, AConnectionThatEndedWithItsAnswerIsNotUsedAgain) {
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      "26\r\ndata: {\"choices\":[{\"text\":\"a\"}]}\n\ndata\r\n"
      "a\r\n: [DONE]\n\n\r\n0\r\n\r\n";
  FakeServer server(std::vector<std::string>(3, answer), 1000, false, true);
  WorkloadOptions content = short_content();
  content.server = server.address();
  const RunOptions options{.concurrency = 1, .requests = 3, .timeout_us = 2'000'000};
  const Result<RunResult> result =
      run_load(options, Workload(content), loopback(server.address()), [](const LiveTotals&) { return true; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->meter.completed, 3u);
  EXPECT_EQ(result->meter.connects, 3u);
  EXPECT_EQ(result->meter.reconnects, 0u);
}

TEST(RunLoad, ADeadServerIsCountedAndAPlaceDoesNotSpin) {
  ServerAddress gone;
  SocketAddress target;
  {
    const NullServerThread server;
    gone = server.address();
    WEIR_CHECK(dial(gone, nullptr, &target).ok());
  }
  WorkloadOptions content = short_content();
  content.server = gone;
  const Result<RunResult> result = run_load({.concurrency = 2, .requests = 4}, Workload(content), target,
                                            [](const LiveTotals&) { return true; });
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->meter.failures[static_cast<size_t>(Failure::kConnectRefused)], 4u);
  EXPECT_GE(result->wall_us, 100'000);  // each place paused once
}

TEST(Preflight, AsksTheServerForItsTokens) {
  const NullServerThread server;
  WorkloadOptions content;
  content.server = server.address();
  const Result<TokenScale> scale = measure_scale(content, nullptr);
  ASSERT_TRUE(scale.ok()) << scale.status().message();
  EXPECT_DOUBLE_EQ(scale->tokens_per_word, 1);
  EXPECT_DOUBLE_EQ(scale->overhead_tokens, 0);
}

TEST(DescriptorLimit, SaysWhatToDoWhenItCannot) {
  const Result<size_t> some = raise_descriptor_limit(10);
  ASSERT_TRUE(some.ok());
  EXPECT_GE(*some, 10u);
  const Result<size_t> absurd = raise_descriptor_limit(size_t{1} << 40);
  EXPECT_EQ(absurd.status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(absurd.status().message(), HasSubstr("ulimit -Hn"));
}

}  // namespace
}  // namespace weir::load
