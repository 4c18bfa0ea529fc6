// dial: a TCP connection to a named server. Thread: the caller's; blocks, at most kConnectMs per address of the
// name.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>

#include "base/status.h"
#include "load/server_url.h"

namespace weir {

inline constexpr int64_t kConnectMs = 10'000;

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  int fd() const { return fd_; }  // -1: none
  void close();

 private:
  int release();
  int fd_ = -1;
};

// The address that answered, for whoever connects again without asking the name service.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// Waits until the socket is readable or writable; looks at `stop` ten times a second.
// ERRORS: kCancelled, kDeadlineExceeded.
Status wait_for(int fd, short events, int64_t timeout_ms, const std::atomic<bool>* stop);

// Tries each address of the name in turn. RETURNS: a non-blocking socket. MODIFIES: reached, when given.
// ERRORS: kUnavailable, kCancelled.
Result<Socket> dial(const ServerAddress& server, const std::atomic<bool>* stop, SocketAddress* reached = nullptr);

}  // namespace weir
