// A server whose output nobody reads: stdout and stderr are full pipes, a full disk, pipes without a reader, or
// closed, from before its start. It becomes ready, answers, watches memory and steps, drains and ends as any other.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "base/units.h"
#include "memory/monitor/fake_root.h"
#include "server/client.h"
#include "server/server_process.h"

namespace weir::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPath = "/v1/completions";

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// What stdout and stderr of a server are.
class Sink {
 public:
  enum class Kind { kFullPipe, kFullDisk, kPipeWithoutReader, kClosed };

  explicit Sink(Kind kind) {
    if (kind == Kind::kFullDisk) fd_ = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (kind != Kind::kFullPipe && kind != Kind::kPipeWithoutReader) return;
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    fd_ = ends[1];
    read_end_ = ends[0];
    if (kind == Kind::kPipeWithoutReader) {
      drop_reader();
      return;
    }
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
    const std::string block(4096, '.');
    while (::write(fd_, block.data(), block.size()) > 0) {
    }
    ::fcntl(fd_, F_SETFL, 0);
    ::fcntl(read_end_, F_SETFL, O_NONBLOCK);
  }
  ~Sink() {
    drop_reader();
    if (fd_ >= 0) ::close(fd_);
  }
  void become(int number) const {
    if (fd_ < 0) ::close(number);
    if (fd_ >= 0) ::dup2(fd_, number);
  }
  // Reads what lies in the pipe; new lines have room for a while.
  std::string read_once() const {
    std::string text(1 << 20, '\0');
    const ssize_t got = ::read(read_end_, text.data(), text.size());
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  }

 private:
  void drop_reader() {
    if (read_end_ >= 0) ::close(std::exchange(read_end_, -1));
  }
  int fd_ = -1, read_end_ = -1;
};

class MuteServer {
 public:
  MuteServer(const Sink& out, const Sink& err, const std::vector<std::string>& flags) : port_(free_port()) {
    std::vector<std::string> words = {WEIR_BINARY, "serve", demo_model(), "--server-port", std::to_string(port_)};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    out.become(STDOUT_FILENO);
    err.become(STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~MuteServer() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  int port() const { return port_; }
  bool becomes_ready() const {
    return wait_until([this] { return get(port_, "/health/ready").status == 200; }, 60'000);
  }
  double metric(const std::string& name) const {
    const std::string text = "\n" + get(port_, "/metrics").body;
    const size_t at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
  }
  bool wait_for_metric(const std::string& name, double value) const {
    return wait_until([&] { return metric(name) == value; }, 30'000);
  }
  void signal(int number) const { ::kill(pid_, number); }
  // RETURNS: the exit status, 128 + signal when killed, -1 where it does not end.
  int wait_for_exit() {
    int status = 0;
    if (!wait_until([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, 30'000)) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  const int port_;
  pid_t pid_ = -1;
};

// 37 tokens: what --test-stall 37 hangs on.
std::string stalling() {
  std::string ids = "1";
  for (int i = 2; i <= 37; ++i) ids += "," + std::to_string(i);
  return "{\"prompt\": [" + ids + "], \"max_tokens\": 5}";
}

// Every thread that has something to say gets to say it, and goes on.
void serve_drain_and_end(Sink::Kind kind) {
  FakeRoot root;
  root.available(8 * kGiB);
  const Sink out(kind), err(kind);
  MuteServer server(
      out, err,
      {"--system-root", root.path(), "--memory-reserve", "268435456", "--memory-poll", "50ms", "--log-level",
       "debug", "--watchdog-timeout", "1s", "--test-stall", "37", "--max-concurrent-requests", "2"});
  ASSERT_TRUE(server.becomes_ready());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(post(server.port(), kPath, completion_body("Once", 5, false)).status, 200);
  // The monitor: its stage follows the machine there and back, with a line for each change.
  root.available(90 * kMiB);
  EXPECT_TRUE(server.wait_for_metric("weir_memory_stage", 4));
  root.available(8 * kGiB);
  EXPECT_TRUE(server.wait_for_metric("weir_memory_stage", 0));
  EXPECT_TRUE(wait_until([&] { return get(server.port(), "/health/ready").status == 200; }, 30'000));
  // The watchdog: more than one report.
  EXPECT_THAT(post(server.port(), kPath, stalling()).body, HasSubstr("\"reason\":\"stuck\""));
  EXPECT_THAT(post(server.port(), kPath, stalling()).body, HasSubstr("\"reason\":\"stuck\""));
  EXPECT_GE(server.metric("weir_watchdog_stalls_total"), 2);
  if (kind != Sink::Kind::kFullPipe) {
    EXPECT_GT(server.metric("weir_log_dropped_total{level=\"info\"}"), 0);
    EXPECT_GT(server.metric("weir_log_dropped_total{level=\"text\"}"), 0);
  }
  EXPECT_EQ(post(server.port(), kPath, completion_body("Once", 5, false)).status, 200);
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(), 0);
}

class BlockedOutput : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(demo_model())) GTEST_SKIP() << demo_model() << " is absent";
  }
};
class Faults : public BlockedOutput {};

TEST_F(Faults, log_nobody_reads) { serve_drain_and_end(Sink::Kind::kFullPipe); }
TEST_F(BlockedOutput, ADiskThatIsFull) { serve_drain_and_end(Sink::Kind::kFullDisk); }
TEST_F(BlockedOutput, PipesWithoutAReader) { serve_drain_and_end(Sink::Kind::kPipeWithoutReader); }

// Descriptors 1 and 2 are free then, and sockets must not become the log.
TEST_F(BlockedOutput, DescriptorsThatAreClosed) {
  const Sink out(Sink::Kind::kClosed), err(Sink::Kind::kClosed);
  MuteServer server(out, err, {});
  ASSERT_TRUE(server.becomes_ready());
  const Answer answer = post(server.port(), kPath, completion_body("Once", 5, false));
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.head.starts_with("HTTP/1.1 200")) << answer.head;
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(), 0);
}

TEST_F(BlockedOutput, ASecondSignalWhileItDrains) {
  const Sink out(Sink::Kind::kFullPipe), err(Sink::Kind::kFullPipe);
  MuteServer server(out, err, {"--test-stall", "37:deaf"});
  ASSERT_TRUE(server.becomes_ready());
  Crowd crowd(server.port());
  crowd.connect(1);
  crowd.send(post_text(kPath, stalling()));
  ASSERT_TRUE(server.wait_for_metric("weir_places_held", 1));
  server.signal(SIGTERM);
  ASSERT_TRUE(wait_until([&] { return get(server.port(), "/health/ready").status == 503; }, 30'000));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(), 128 + SIGTERM);
}

TEST_F(BlockedOutput, AnErrorAtTheStartEndsIt) {
  const Sink out(Sink::Kind::kFullPipe), err(Sink::Kind::kFullPipe);
  MuteServer unknown(out, err, {"--no-such-flag"});
  EXPECT_EQ(unknown.wait_for_exit(), 2);
  MuteServer too_large(out, err, {"--memory-limit", "64MiB"});
  EXPECT_EQ(too_large.wait_for_exit(), 3);
}

// A reader that comes back finds what was kept, how many lines are missing, and what is said from then on.
TEST_F(BlockedOutput, AReaderThatComesBackIsToldWhatIsMissing) {
  const Sink out(Sink::Kind::kFullPipe), err(Sink::Kind::kFullPipe);
  MuteServer server(out, err, {"--log-level", "debug", "--max-queued-requests", "0"});
  ASSERT_TRUE(server.becomes_ready());
  // Each of them leaves a line, and 128 KiB hold about a thousand.
  for (int i = 0; i < 4000 && server.metric("weir_log_dropped_total{level=\"debug\"}") < 10; ++i) {
    for (int k = 0; k < 20; ++k) post(server.port(), kPath, "{}");
  }
  ASSERT_GE(server.metric("weir_log_dropped_total{level=\"debug\"}"), 10);
  std::string log;
  EXPECT_TRUE(wait_until(
      [&] { return (log += err.read_once()).find(" lines were dropped, ") != std::string::npos; }, 30'000));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait_for_exit(), 0);
}

}  // namespace
}  // namespace weir::testing
