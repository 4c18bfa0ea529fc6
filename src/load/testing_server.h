// FakeServer: a loopback port that answers each connection with prepared bytes. For tests of this room alone.
//
// Thread: one of its own, joined by the destructor. It reads one whole request before it answers, in pieces of the
// given size, so that the client sees every cut.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "load/sse_client.h"

namespace weir {

class FakeServer {
 public:
  // hold: keeps the connection open after the answer until the client leaves or the test ends. corked: the answer and
  // the end of the connection travel in one segment, so that one event tells the client of both.
  FakeServer(std::vector<std::string> answers, size_t piece_bytes, bool hold = false, bool corked = false)
      : answers_(std::move(answers)), piece_bytes_(piece_bytes), hold_(hold), corked_(corked) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    WEIR_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    WEIR_CHECK(::listen(listener_, 8) == 0);
    socklen_t size = sizeof address;
    WEIR_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    stop();
    ::close(listener_);
  }

  ServerAddress address() const { return {"127.0.0.1", std::to_string(port_), "/v1"}; }
  // What the clients sent, in order. Ends the server first, so that nobody writes to it any more.
  const std::vector<std::string>& requests() {
    stop();
    return requests_;
  }

 private:
  void stop() {
    ending_.store(true);
    ::shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  void serve() {
    for (const std::string& answer : answers_) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      requests_.push_back(read_request(fd));
      const int cork = corked_ ? 1 : 0;
      ::setsockopt(fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof cork);
      for (size_t at = 0; at < answer.size(); at += piece_bytes_) {
        if (::send(fd, answer.data() + at, std::min(piece_bytes_, answer.size() - at), MSG_NOSIGNAL) < 0) break;
      }
      while (hold_ && !ending_.load()) {
        pollfd watched{fd, POLLRDHUP, 0};
        if (::poll(&watched, 1, 20) > 0) break;
      }
      ::close(fd);
    }
  }

  static std::string read_request(int fd) {
    std::string text;
    for (;;) {
      const size_t head = text.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t length = text.find("Content-Length: ");
        const size_t body = length == std::string::npos ? 0 : std::stoul(text.substr(length + 16));
        if (text.size() >= head + 4 + body) return text;
      }
      char chunk[4096];
      const ssize_t count = ::recv(fd, chunk, sizeof chunk, 0);
      if (count <= 0) return text;
      text.append(chunk, static_cast<size_t>(count));
    }
  }

  std::vector<std::string> answers_;
  const size_t piece_bytes_;
  const bool hold_, corked_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_{false};
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace weir
