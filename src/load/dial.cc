#include "load/dial.h"

#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace weir {
namespace {

constexpr int kSliceMs = 100;  // how often `stop` is looked at

struct AddressList {
  addrinfo* first = nullptr;
  ~AddressList() {
    if (first != nullptr) freeaddrinfo(first);
  }
};

Status connect_one(int fd, const addrinfo& address, const std::atomic<bool>* stop) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return ok_status();
  if (errno != EINPROGRESS) return Status(Code::kUnavailable, std::strerror(errno));
  WEIR_RETURN_IF_ERROR(wait_for(fd, POLLOUT, kConnectMs, stop));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? ok_status() : Status(Code::kUnavailable, std::strerror(error));
}

}  // namespace

int Socket::release() { return std::exchange(fd_, -1); }

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Status wait_for(int fd, short events, int64_t timeout_ms, const std::atomic<bool>* stop) {
  const SteadyClock clock;
  const Micros deadline_us = clock.now_us() + timeout_ms * 1000;
  for (;;) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return Status(Code::kCancelled, "stopped");
    const int64_t left_ms = (deadline_us - clock.now_us() + 999) / 1000;
    if (left_ms <= 0) {
      return Status(Code::kDeadlineExceeded,
                    "the server was silent for " + std::to_string(timeout_ms / 1000) + " s");
    }
    pollfd watched{fd, events, 0};
    if (::poll(&watched, 1, static_cast<int>(std::min<int64_t>(left_ms, kSliceMs))) > 0) return ok_status();
  }
}

Result<Socket> dial(const ServerAddress& server, const std::atomic<bool>* stop, SocketAddress* reached) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  AddressList addresses;
  const int error = getaddrinfo(server.host.c_str(), server.port.c_str(), &wanted, &addresses.first);
  if (error != 0) return Status(Code::kUnavailable, server.host + ": " + gai_strerror(error));
  Status last(Code::kUnavailable, "no address");
  for (const addrinfo* address = addresses.first; address != nullptr; address = address->ai_next) {
    Socket socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.fd() < 0) continue;
    last = connect_one(socket.fd(), *address, stop);
    if (last.ok()) {
      if (reached != nullptr) {
        std::memcpy(&reached->storage, address->ai_addr, address->ai_addrlen);
        reached->size = address->ai_addrlen;
      }
      return socket;
    }
    if (last.code() == Code::kCancelled) return last;
  }
  return Status(Code::kUnavailable, "no connection to " + server.text() + ": " + last.message());
}

}  // namespace weir
