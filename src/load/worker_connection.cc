// What happens on one socket of a Worker: connecting, sending, reading.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "load/worker.h"

namespace weir::load {
namespace {

constexpr size_t kScratchBytes = 64 << 10;
constexpr int kReadsPerTurn = 16;       // 1 MiB; a server that never stops may not keep the others from being read
constexpr int kSlowBufferBytes = 4096;  // a slow reader's receive buffer, so that the server feels it
constexpr Micros kSlowReadsPerSecond = 4;

Failure failure_of(int error) {
  switch (error) {
    case ECONNREFUSED:
      return Failure::kConnectRefused;
    case ETIMEDOUT:
      return Failure::kConnectTimeout;
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return Failure::kNoDescriptor;
    default:
      return Failure::kConnectFailed;
  }
}

}  // namespace

void Worker::open_socket(uint32_t id) {
  Connection& connection = at(id);
  connection.state = Connection::State::kConnecting;
  connection.peer_ended = false;
  connection.connect_by_us = now() + kConnectMs * 1000;
  const SocketAddress& target = shared_->target;
  connection.socket = Socket(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (connection.socket.fd() < 0) return fail(id, failure_of(errno));
  const int fd = connection.socket.fd(), on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connection.request.slow) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kSlowBufferBytes, sizeof kSlowBufferBytes);
  ++meter_.connects;
  const bool failed = ::connect(fd, reinterpret_cast<const sockaddr*>(&target.storage), target.size) != 0;
  if (failed && errno != EINPROGRESS) return fail(id, failure_of(errno));
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    .data = {.u64 = (uint64_t{connection.socket_use} << 32) | id}};
  if (::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) != 0) fail(id, Failure::kNoDescriptor);
}

bool Worker::connected(uint32_t id) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(at(id).socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    fail(id, failure_of(error));
    return false;
  }
  at(id).state = Connection::State::kActive;
  return true;
}

void Worker::take_event(uint32_t id, uint32_t events) {
  Connection& connection = at(id);
  const uint32_t use = connection.use;
  if (connection.state == Connection::State::kFree) return;
  if (connection.state == Connection::State::kIdle) {
    if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
    idle_.erase(std::find(idle_.begin(), idle_.end(), id));  // it closed, or speaks out of turn
    return close(id);
  }
  const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  connection.peer_ended = connection.peer_ended || ended;
  if (connection.state == Connection::State::kConnecting && !connected(id)) return;
  if ((events & EPOLLOUT) != 0) send_more(id);
  if (connection.use != use || connection.state != Connection::State::kActive) return;
  if (!connection.request.slow && ((events & EPOLLIN) != 0 || ended)) read_some(id, ended);
}

void Worker::send_more(uint32_t id) {
  Connection& connection = at(id);
  while (connection.bytes_sent < connection.bytes.size()) {
    const ssize_t count = ::send(connection.socket.fd(), connection.bytes.data() + connection.bytes_sent,
                                 connection.bytes.size() - connection.bytes_sent, MSG_NOSIGNAL);
    if (count > 0) {
      connection.bytes_sent += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      return;  // full: epoll tells when there is room; broken: what was answered before is still to be read
    }
  }
}

// One recv() into the reader. RETURNS: whether there may be more now.
bool Worker::read_once(uint32_t id, size_t bytes_max, ssize_t* count) {
  Connection& connection = at(id);
  AnswerReader& reader = *connection.reader;
  do {
    *count = ::recv(connection.socket.fd(), scratch_.get(), bytes_max, 0);
  } while (*count < 0 && errno == EINTR);
  if (*count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
  if (*count <= 0) {
    if (!reader.begun() && replace_kept(id)) return false;
    if (*count == 0) {
      reader.closed();
    } else {
      reader.fail(reader.begun() ? Failure::kReset : Failure::kClosedAtOnce);
    }
    end_if_over(id);
    return false;
  }
  const int64_t events_before = reader.answer().events;
  const Micros now_us = now();
  meter_.bytes_in += static_cast<uint64_t>(*count);
  reader.feed({scratch_.get(), static_cast<size_t>(*count)}, now_us);
  const int64_t events = reader.answer().events - events_before;
  if (events > 0) {
    meter_.series.tokens(now_us, events);
    live_.tokens.fetch_add(static_cast<uint64_t>(events), std::memory_order_relaxed);
  }
  if (!reader.over()) return true;
  end_if_over(id);
  return false;
}

// to_the_end: until nothing is left. A short read means the same (epoll(7)), unless the end of the stream was told
// by the event that brought us here: it would not be told again.
void Worker::read_some(uint32_t id, bool to_the_end) {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    ssize_t count = 0;
    if (!read_once(id, kScratchBytes, &count)) return;
    if (!to_the_end && static_cast<size_t>(count) < kScratchBytes) return;
  }
  again_.push_back(id);
}

void Worker::read_slowly(uint32_t id) {
  ssize_t count = 0;
  const int64_t bytes = std::max<int64_t>(1, options_.slow_bytes_per_s / kSlowReadsPerSecond);
  read_once(id, std::min(kScratchBytes, static_cast<size_t>(bytes)), &count);
}

// The server closed a kept connection while we sent: once more on a new one. RETURNS: false when it was a fresh
// one.
bool Worker::replace_kept(uint32_t id) {
  Connection& connection = at(id);
  if (!connection.kept) return false;
  connection.kept = false;
  connection.bytes_sent = 0;
  connection.socket.close();
  ++connection.socket_use;
  ++meter_.reconnects;
  open_socket(id);
  return true;
}

void Worker::fail(uint32_t id, Failure failure) {
  at(id).reader->fail(failure);
  end_if_over(id);
}

void Worker::close(uint32_t id) {
  Connection& connection = at(id);
  connection.socket.close();  // epoll forgets a closed descriptor
  connection.state = Connection::State::kFree;
  connection.reader.reset();
  std::string().swap(connection.bytes);
  ++connection.socket_use;
  free_.push_back(id);
}

}  // namespace weir::load
