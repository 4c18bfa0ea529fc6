// How the whole server is operated: drained, watched over, asked to end a request. What is asserted is what is said and
// counted; where the test needs somebody to be under way, a request hangs (WEIR_TEST_STALL) or a model is slow enough.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "server/client.h"
#include "server/server_process.h"
#include "support/random_checkpoint.h"

namespace weir::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPath = "/v1/completions";
constexpr const char* kKey = "Authorization: Bearer root\r\n";

class OpsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  }
  // 37 tokens: what --test-stall 37 hangs on.
  static std::string stalling(bool stream = false) {
    std::string ids = "1";
    for (int i = 2; i <= 37; ++i) ids += "," + std::to_string(i);
    return "{\"prompt\": [" + ids + "], \"max_tokens\": 5, \"stream\": " + (stream ? "true}" : "false}");
  }
  static std::string text_of(const Answer& answer) {
    const std::string body = without_chunks(answer.body), mark = "\"text\":\"";
    EXPECT_THAT(body, HasSubstr("data: [DONE]")) << answer.head;
    std::string text;
    for (size_t at = body.find(mark); at != std::string::npos; at = body.find(mark, at + 1)) {
      const size_t begin = at + mark.size();
      text += body.substr(begin, body.find("\",\"", begin) - begin);
    }
    return text;
  }
  static std::vector<std::string> streams(ServerProcess& server, int count, const std::function<void()>& meanwhile) {
    Crowd crowd(server.port());
    crowd.connect(count);
    crowd.send(post_text(kPath, completion_body("Once upon a time", 300, true, ", \"seed\": 7")));
    meanwhile();
    EXPECT_TRUE(crowd.read_to_the_end(100'000));
    std::vector<std::string> texts;
    for (const Answer& answer : crowd.answers()) texts.push_back(text_of(answer));
    return texts;
  }
};

// Random weights behind the demo's tokeniser: nothing ends while a test looks.
class SlowModel {
 public:
  SlowModel() : dir_(std::filesystem::temp_directory_path() / ("weir-ops-" + std::to_string(getpid()))) {
    EXPECT_TRUE(write_random_checkpoint(dir_, kSmallConfig).ok());
    std::filesystem::copy_file(demo_model() + "/tokenizer.json", dir_ + "/tokenizer.json");
  }
  ~SlowModel() { std::filesystem::remove_all(dir_); }
  const std::string& dir() const { return dir_; }

 private:
  const std::string dir_;
};

TEST_F(OpsTest, ADrainRefusesAnswersHealthAndFinishesWhatRunsAndWaits) {
  const SlowModel model;
  ServerProcess server({"--max-concurrent-requests", "1"}, model.dir());
  Crowd crowd(server.port());
  crowd.connect(2);  // one runs, one waits
  crowd.send(post_text(kPath, completion_body("Once upon a time", 400, true)));
  ASSERT_TRUE(server.wait_for_metric("weir_requests_waiting", 1, 20'000));
  server.signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return get(server.port(), "/health/ready").status == 503; }, 10'000));
  const Answer ready = get(server.port(), "/health/ready");
  EXPECT_THAT(ready.body, HasSubstr("draining"));
  EXPECT_EQ(get(server.port(), "/health/live").status, 200) << "draining is no reason to be killed";
  const Answer refused = post(server.port(), kPath, completion_body("A", 5, false));
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("\"reason\":\"draining\""));
  EXPECT_GE(std::atoi(refused.header("retry-after").c_str()), 1);
  EXPECT_NE(refused.header("x-request-id"), "");
  EXPECT_TRUE(crowd.read_to_the_end(100'000));
  for (const Answer& answer : crowd.answers()) EXPECT_THAT(answer.body, HasSubstr("data: [DONE]"));
  EXPECT_EQ(server.wait_for_exit(20'000), 0) << server.log();
}

TEST_F(OpsTest, ADrainThatTakesTooLongEndsWhatIsLeftAndExitsZero) {
  ServerProcess server({"--max-concurrent-requests", "1", "--drain-timeout", "300ms", "--test-stall", "37"});
  Crowd crowd(server.port());
  crowd.connect(2);  // one hangs, one waits behind it
  crowd.send(post_text(kPath, stalling()));
  ASSERT_TRUE(server.wait_for_metric("weir_places_held", 2, 20'000));
  server.signal(SIGTERM);
  EXPECT_TRUE(crowd.read_to_the_end(20'000));
  for (const Answer& answer : crowd.answers()) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("draining"));
  }
  EXPECT_EQ(server.wait_for_exit(20'000), 0) << server.log();
  EXPECT_THAT(server.log(), HasSubstr("draining for up to 300 ms: 2 requests are under way"));
  EXPECT_THAT(server.log(), HasSubstr("ran out: 2 requests are under way"));
}

TEST_F(OpsTest, ASecondSignalDoesNotWaitForTheDrain) {
  ServerProcess server({"--test-stall", "37:deaf"});
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(post_text(kPath, stalling()));
  ASSERT_TRUE(server.wait_for_metric("weir_places_held", 1, 20'000));
  server.signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return get(server.port(), "/health/ready").status == 503; }, 10'000));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(20'000), 128 + SIGTERM);
}

TEST_F(OpsTest, TheWatchdogEndsTheCulpritAndNobodyElseNotices) {
  ServerProcess server({"--max-concurrent-requests", "4", "--watchdog-timeout", "1s", "--test-stall", "37"});
  const std::vector<std::string> quiet = streams(server, 3, [] {});
  const std::vector<std::string> disturbed = streams(server, 3, [&] {
    const Answer stuck = send(server.port(), "POST", kPath, stalling(), "x-request-id: the-culprit\r\n");
    EXPECT_EQ(stuck.status, 500);
    EXPECT_THAT(stuck.body, HasSubstr("\"reason\":\"stuck\""));
    EXPECT_EQ(stuck.header("x-request-id"), "the-culprit");
  });
  EXPECT_EQ(quiet, disturbed);
  EXPECT_GE(server.metric("weir_watchdog_stalls_total"), 2);
  EXPECT_GE(server.metric("weir_watchdog_abandoned_steps_total"), 2);
  EXPECT_EQ(server.metric("weir_watchdog_culprits_total"), 1);
  EXPECT_EQ(server.metric("weir_sequences_finished_total{reason=\"stuck\"}"), 1);
  EXPECT_EQ(server.metric("weir_refusals_total{reason=\"stuck\"}"), 1);
  EXPECT_LE(server.metric("weir_sealed_allocations_total{thread=\"engine\"}"), 0);
  EXPECT_EQ(get(server.port(), "/health/live").status, 200);
  EXPECT_TRUE(server.says("request the-culprit: prefill of ")) << server.log();
  EXPECT_THAT(server.log(), Not(HasSubstr("/health/live is red")));
}

TEST_F(OpsTest, ALoopThatDoesNotListenTurnsLivenessRed) {
  ServerProcess server({"--watchdog-timeout", "200ms", "--test-stall", "37:deaf"});
  Crowd crowd(server.port());
  crowd.connect(1);
  EXPECT_EQ(get(server.port(), "/health/live").status, 200);
  crowd.send(post_text(kPath, stalling()));
  EXPECT_TRUE(wait_until([&] { return get(server.port(), "/health/live").status == 503; }, 20'000));
  EXPECT_EQ(get(server.port(), "/health/ready").status, 503);
  EXPECT_EQ(server.metric("weir_watchdog_stalls_total"), 1);
  EXPECT_EQ(server.metric("weir_watchdog_abandoned_steps_total"), 0);
  EXPECT_TRUE(server.says("/health/live is red")) << server.log();
}

TEST_F(OpsTest, AnOperatorEndsARequestById) {
  const SlowModel model;
  ServerProcess server({"--max-concurrent-requests", "1", "--io-threads", "2", "--admin-key", "root"}, model.dir());
  const auto abort = [&](const std::string& id) {
    return send(server.port(), "POST", "/admin/abort", "{\"id\": \"" + id + "\"}", kKey);
  };
  const auto ask = [&](const std::string& id, const std::string& body, size_t bytes) {
    const int fd = connect_to(server.port());
    send_all(fd, "POST /v1/completions HTTP/1.1\r\nHost: t\r\nConnection: close\r\nx-request-id: " + id +
                     "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body.substr(0, bytes));
    return fd;
  };
  const auto read_all = [](int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
    close(fd);
    return text;
  };
  const std::string stream = completion_body("Once upon a time", 400, true);
  const int uploading = ask("uploads", stream, 10);
  EXPECT_TRUE(wait_until([&] { return abort("uploads").status == 200; }, 10'000));
  EXPECT_THAT(read_all(uploading), AllOf(HasSubstr("HTTP/1.1 409"), HasSubstr("x-request-id: uploads")));
  const int running = ask("runs", stream, stream.size());
  ASSERT_TRUE(server.wait_for_metric("weir_requests_running", 1, 20'000));
  const int waiting = ask("waits", stream, stream.size());
  ASSERT_TRUE(server.wait_for_metric("weir_requests_waiting", 1, 20'000));
  EXPECT_EQ(abort("nobody").status, 404);
  EXPECT_EQ(send(server.port(), "POST", "/admin/abort", "{\"id\": \"runs\"}", "").status, 401);
  EXPECT_EQ(abort("waits").body, "{\"aborted\":1}");
  EXPECT_THAT(read_all(waiting), AllOf(HasSubstr("HTTP/1.1 409"), HasSubstr("x-request-id: waits")));
  EXPECT_EQ(abort("runs").body, "{\"aborted\":1}");
  EXPECT_THAT(read_all(running), HasSubstr("\"code\":\"aborted\""));
  EXPECT_TRUE(server.wait_for_metric("weir_places_held", 0, 10'000));
  EXPECT_EQ(server.metric("weir_refusals_total{reason=\"aborted\"}"), 3);
}

TEST_F(OpsTest, AStreamThatWaitsIsKeptAlive) {
  ServerProcess server({"--queue-keepalive", "100ms", "--watchdog-timeout", "2s", "--test-stall", "37"});
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(post_text(kPath, stalling(true)));
  ASSERT_TRUE(wait_until([&] { return crowd.read_for(20), crowd.answers()[0].body.find("\n: ") != std::string::npos; }, 20'000));
  EXPECT_EQ(crowd.answers()[0].status, 200);
  EXPECT_TRUE(crowd.read_to_the_end(60'000));
  EXPECT_THAT(crowd.answers()[0].body, HasSubstr("\"reason\":\"stuck\"")) << "errors come as an event now";
}

TEST_F(OpsTest, DeadlinesAtTheDoor) {
  ServerProcess server({});
  const std::string body = completion_body("A", 3, false);
  EXPECT_EQ(send(server.port(), "POST", kPath, body, "X-Request-Deadline-Ms: 60000\r\n").status, 200);
  EXPECT_EQ(send(server.port(), "POST", kPath, body, "X-Request-Deadline-Ms: 1600000000000\r\n").status, 504);
  EXPECT_EQ(send(server.port(), "POST", kPath, body, "X-Request-Deadline-Ms: 0\r\n").status, 400);
  const int fd = connect_to(server.port());
  send_all(fd, "POST /v1/completions HTTP/1.1\r\nHost: t\r\nX-Request-Deadline-Ms: 50\r\nContent-Length: 100\r\n\r\n{");
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  close(fd);
  EXPECT_THAT(text, AllOf(HasSubstr("HTTP/1.1 504"), HasSubstr("while its body was being read"), HasSubstr("x-request-id: ")));
  EXPECT_EQ(server.metric("weir_refusals_total{reason=\"deadline\"}"), 2);
}

TEST_F(OpsTest, EveryResponseCarriesARequestId) {
  ServerProcess server({"--api-keys", "secret", "--max-body-bytes", "1KiB"});
  const std::string key = "Authorization: Bearer secret\r\n", mine = "X-Request-Id: mine\r\n";
  const std::string body = completion_body("A", 3, false), stream = completion_body("A", 3, true);
  struct Case {
    std::string method, path, body, headers;
    int status;
  };
  for (const Case& c : std::vector<Case>{{"POST", kPath, body, key, 200},
                                         {"POST", kPath, stream, key, 200},
                                         {"POST", kPath, body, "", 401},
                                         {"POST", kPath, "{", key, 400},
                                         {"POST", kPath, std::string(2000, 'x'), key, 413},
                                         {"POST", "/tokenize", "{\"prompt\": \"a\"}", key, 200},
                                         {"GET", "/health", "", "", 200},
                                         {"GET", "/metrics", "", "", 200},
                                         {"GET", "/nowhere", "", key, 404},
                                         {"GET", kPath, "", key, 405},
                                         {"GET", "/admin/limits", "", "", 403},
                                         {"BREW", "/", "", "", 501}}) {
    const Answer own = send(server.port(), c.method, c.path, c.body, c.headers + mine);
    EXPECT_EQ(own.status, c.status) << c.method << " " << c.path;
    const bool malformed = c.method == "BREW" || c.status == 413;  // its head was not read to the end
    const std::string id = own.header("x-request-id");
    EXPECT_TRUE(malformed ? id != "" : id == "mine") << c.method << " " << c.path << own.head;
    const Answer other = send(server.port(), c.method, c.path, c.body, c.headers);
    EXPECT_THAT(other.header("x-request-id"), HasSubstr("req-")) << c.method << " " << c.path << other.head;
  }
}

}  // namespace
}  // namespace weir::testing
