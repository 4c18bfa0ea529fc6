// A blocking HTTP client over a raw loopback socket, for the tests of this room alone. Every wait is bounded.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace weir::http {

inline constexpr int kWaitMs = 30'000;  // for what must come: a busy machine is slow, not wrong
// What takes less was not ended by one of the server's own time limits, of which the shortest is 10 s.
inline constexpr int64_t kSlowMs = 9'000;

struct Reply {
  int status = 0;  // 0: none came
  std::string head;
  std::string body;
};

class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer_bytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  Client(Client&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
  ~Client() { close(); }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {  // RST instead of FIN
    const struct ::linger drop { 1, 0 };
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &drop, sizeof drop);
    close();
  }
  void half_close() { ::shutdown(fd_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  // RETURNS: false at the end of the stream, an error or the time limit.
  bool fill(int timeout_ms = kWaitMs) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, timeout_ms) <= 0) return false;
    char bytes[65536];
    const ssize_t n = ::recv(fd_, bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(n));
    return true;
  }
  bool read_until(std::string_view text, int timeout_ms = kWaitMs) {
    while (buffer_.find(text) == std::string::npos) {
      if (!fill(timeout_ms)) return false;
    }
    return true;
  }
  // RETURNS: whether the server closed within the limit; whatever it sent before is in buffer().
  bool closed(int timeout_ms = kWaitMs) {
    for (;;) {
      pollfd wait{fd_, POLLIN, 0};
      if (::poll(&wait, 1, timeout_ms) <= 0) return false;
      if (!fill(0)) return true;
    }
  }

  // One response with a Content-Length, chunked, or until the connection closes.
  Reply reply(bool without_body = false) {
    Reply reply;
    if (!read_until("\r\n\r\n")) return reply;
    const size_t head_end = buffer_.find("\r\n\r\n") + 4;
    reply.head = buffer_.substr(0, head_end);
    buffer_.erase(0, head_end);
    if (reply.head.size() > 12) reply.status = std::atoi(reply.head.c_str() + 9);
    if (without_body || reply.status == 204 || reply.status == 304 || reply.status == 100) return reply;
    const size_t length_at = reply.head.find("Content-Length: ");
    if (length_at != std::string::npos) {
      const size_t length = std::strtoul(reply.head.c_str() + length_at + 16, nullptr, 10);
      while (buffer_.size() < length && fill()) {
      }
      reply.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    } else if (reply.head.find("chunked") != std::string::npos) {
      read_chunks(&reply.body);
    } else {
      while (fill()) {
      }
      reply.body = std::exchange(buffer_, {});
    }
    return reply;
  }
  Reply exchange(std::string_view request) {
    send(request);
    return reply();
  }
  std::string& buffer() { return buffer_; }

 private:
  void read_chunks(std::string* body) {
    for (;;) {
      if (!read_until("\r\n")) return;
      const size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
      const size_t line = buffer_.find("\r\n") + 2;
      while (buffer_.size() < line + size + 2 && fill()) {
      }
      body->append(buffer_, line, size);
      buffer_.erase(0, line + size + 2);
      if (size == 0) return;
    }
  }

  int fd_;
  bool connected_ = false;
  std::string buffer_;
};

inline std::string get(std::string_view path, std::string_view extra = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: t\r\n" + std::string(extra) + "\r\n";
}
inline std::string post(std::string_view path, std::string_view body, std::string_view extra = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

// RETURNS: whether the condition came true in time.
inline bool eventually(const std::function<bool()>& condition, int timeout_ms = kWaitMs) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline int64_t elapsed_ms(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace weir::http
