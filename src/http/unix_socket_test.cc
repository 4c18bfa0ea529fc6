// A Unix socket to listen on: served like a port, its leavings replaced and nothing else, and a client that leaves
// is noticed.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "http/server.h"
#include "http/test_client.h"

namespace weir::http {
namespace {

class UnixSocket : public ::testing::Test {
 protected:
  UnixSocket() {
    char name[] = "/tmp/weir-http-XXXXXX";
    EXPECT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/socket";
  }
  ~UnixSocket() override { std::filesystem::remove_all(folder_); }

  Result<std::unique_ptr<Server>> listen(int io_threads = 1) {
    Options options;
    options.address = "unix:" + path_;
    options.io_threads = io_threads;
    return Server::create(options, [this](Request&& request, std::shared_ptr<Exchange> exchange) {
      if (request.path == "/hold") {
        exchange->on_gone([this](Gone) { ++gone_; });
        held_.push_back(std::move(exchange));
        return;
      }
      exchange->respond(200, "text/plain", "here:" + request.peer);
    });
  }
  int connect() const {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    path_.copy(to.sun_path, sizeof to.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) return fd;
    ::close(fd);
    return -1;
  }
  static std::string answer(int fd) {
    std::string text;
    char bytes[4096];
    while (text.find("here:") == std::string::npos) {
      pollfd wait{fd, POLLIN, 0};
      if (::poll(&wait, 1, 10'000) <= 0) break;
      const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0) break;
      text.append(bytes, static_cast<size_t>(n));
    }
    return text;
  }
  static void send(int fd, std::string_view bytes) {
    ASSERT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  std::string get() const {
    const int fd = connect();
    if (fd < 0) return "no connection";
    send(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const std::string text = answer(fd);
    ::close(fd);
    return text;
  }

  std::string folder_, path_;
  std::vector<std::shared_ptr<Exchange>> held_;
  std::atomic<int> gone_{0};
};

TEST_F(UnixSocket, ServesOnEveryIoThread) {
  for (const int threads : {1, 3}) {
    auto server = listen(threads);
    ASSERT_TRUE(server.ok()) << server.status().message();
    EXPECT_EQ((*server)->port(), 0);
    (*server)->start();
    for (int i = 0; i < 12; ++i) EXPECT_NE(get().find("200 OK"), std::string::npos);
    (*server)->stop();
  }  // the second one found what the first had left
}

TEST_F(UnixSocket, OnlyWhatAnEndedServerLeftIsReplaced) {
  auto server = listen();
  ASSERT_TRUE(server.ok());
  (*server)->start();
  const auto second = listen();
  EXPECT_EQ(second.status().code(), Code::kFailedPrecondition);
  EXPECT_NE(second.status().message().find("another program"), std::string::npos);
  EXPECT_NE(get().find("200 OK"), std::string::npos) << "the first one goes on";
  (*server)->stop();
  std::filesystem::remove(path_);
  std::ofstream(path_) << "a file of somebody's";
  EXPECT_FALSE(listen().ok());
  EXPECT_TRUE(std::filesystem::is_regular_file(path_));
  path_ = folder_ + "/none/socket";
  EXPECT_NE(listen().status().message().find("folder"), std::string::npos);
  path_ = "/" + std::string(108, 'a');
  EXPECT_EQ(listen().status().code(), Code::kInvalidArgument);
}

TEST_F(UnixSocket, ItsRightsAreWhatTheUmaskLeaves) {
  const mode_t before = ::umask(0077);
  const auto server = listen();
  ::umask(before);
  ASSERT_TRUE(server.ok());
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(UnixSocket, AClientThatLeavesIsNoticedAndOneThatPipelinesIsNot) {
  auto server = listen();
  ASSERT_TRUE(server.ok());
  (*server)->start();
  const int leaves = connect(), pipelines = connect();
  send(pipelines, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  send(leaves, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 500 && (*server)->stats().requests < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::close(leaves);
  for (int i = 0; i < 1'000 && gone_ == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(gone_, 1) << "by its state, because bytes of its next request wait";
  (*server)->post(0, [this] {
    for (const auto& exchange : held_) exchange->respond(200, "text/plain", "here:");
    held_.clear();
  });
  EXPECT_NE(answer(pipelines).find("200 OK"), std::string::npos) << "it was there all the time";
  ::close(pipelines);
  (*server)->stop();
}

}  // namespace
}  // namespace weir::http
