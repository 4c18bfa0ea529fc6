#include "http/listen.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

namespace weir::http {
namespace {

constexpr int kBacklog = 4096;
// The kernel doubles these for its own overhead. Without them one connection may hold megabytes of kernel memory,
// which a container's memory limit counts.
constexpr int kKernelBufferBytes = 128 * 1024;
// A peer that vanished without a word is found by probes after idle + count * interval = 60 s.
constexpr int kKeepAliveIdleS = 30, kKeepAliveIntervalS = 10, kKeepAliveCount = 3;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

bool bound_kernel_buffers(int fd) {
  return set_option(fd, SOL_SOCKET, SO_SNDBUF, kKernelBufferBytes) &&
         set_option(fd, SOL_SOCKET, SO_RCVBUF, kKernelBufferBytes);
}

bool set_inherited_options(int fd, int64_t user_timeout_ms) {
  return set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) && set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleS) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalS) &&
         set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveCount) &&
         set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout_ms)) &&
         bound_kernel_buffers(fd);
}

uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

std::string place(const std::string& address, uint16_t port) { return address + ":" + std::to_string(port); }

Status bind_error(const std::string& address, uint16_t port, int error) {
  std::string hint = "check --server-name and --server-port";
  if (error == EADDRINUSE) hint = "another program listens there: stop it or choose another --server-port";
  if (error == EACCES) hint = "choose a port above 1023";
  if (error == EADDRNOTAVAIL) hint = "this machine has no such address: use 127.0.0.1, or 0.0.0.0 for all";
  if (error == EMFILE || error == ENFILE) hint = "raise the descriptor limit (ulimit -n)";
  return failed_precondition("cannot listen on " + place(address, port) + ": " + std::strerror(error) + "; " +
                             hint);
}

Result<Addresses> resolve(const std::string& address, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0)
    return invalid_argument("cannot resolve the address '" + address + "': " + ::gai_strerror(error) +
                            "; use 127.0.0.1, or 0.0.0.0 for all interfaces");
  return Addresses(found, &freeaddrinfo);
}

void set_port(addrinfo* to, uint16_t port) {
  if (to->ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(to->ai_addr)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(to->ai_addr)->sin_port = htons(port);
  }
}

// RETURNS: a bound descriptor, or -1 with errno set.
int bind_socket(const addrinfo& to, bool share_port) {
  Fd fd(::socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return -1;
  if (!set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return -1;
  if (share_port && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return -1;
  if (::bind(fd.get(), to.ai_addr, to.ai_addrlen) != 0) return -1;
  return fd.release();
}

Status unix_error(const std::string& path, int error) {
  std::string hint = "check --server-name";
  if (error == EADDRINUSE) hint = "another program listens there, or the file is no socket: choose another path";
  if (error == EACCES || error == EROFS || error == ENOENT)
    hint = "the folder must exist and be writable for this user";
  return failed_precondition("cannot listen on unix:" + path + ": " + std::strerror(error) + "; " + hint);
}

// The file of a server that has ended: a socket without a listener.
bool is_left_behind(const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(address.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

// One socket, because a path cannot be shared as a port can: each io thread accepts from a descriptor of its own to
// it.
Result<Listeners> Listeners::open_unix(const std::string& path, int count) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return invalid_argument("the path of a Unix socket has 1 to " + std::to_string(sizeof address.sun_path - 1) +
                            " characters; '" + path + "' has " + std::to_string(path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (is_left_behind(address)) ::unlink(address.sun_path);
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || !bound_kernel_buffers(fd.get()) ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    return unix_error(path, errno);
  }
  Listeners listeners;
  for (int i = 0; i < count; ++i) {
    const int own = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
    if (own < 0) return unix_error(path, errno);
    listeners.fds_.push_back(own);
  }
  return listeners;
}

Listeners::~Listeners() {
  for (int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

int Listeners::release(size_t index) { return std::exchange(fds_.at(index), -1); }

Result<Listeners> Listeners::open(const std::string& address, uint16_t port, int count, int64_t user_timeout_ms) {
  if (is_unix_address(address)) return open_unix(address.substr(kUnixPrefix.size()), count);
  WEIR_ASSIGN_OR_RETURN(Addresses addresses, resolve(address, port));
  Listeners listeners;
  const bool share_port = count > 1;
  if (share_port && port != 0) {
    // Sharing would also let a second server onto the port of a running one, and requests would go to either.
    Fd probe(bind_socket(*addresses, false));
    if (probe.get() < 0 || ::listen(probe.get(), 1) != 0) return bind_error(address, port, errno);
  }
  for (int i = 0; i < count; ++i) {
    Fd fd(bind_socket(*addresses, share_port));
    if (fd.get() < 0 || !set_inherited_options(fd.get(), user_timeout_ms) || ::listen(fd.get(), kBacklog) != 0)
      return bind_error(address, port, errno);
    if (i == 0) {
      port = bound_port(fd.get());
      set_port(addresses.get(), port);
    }
    listeners.fds_.push_back(fd.release());
  }
  listeners.port_ = port;
  return listeners;
}

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return limit.rlim_max;
  }
  return limit.rlim_cur;
}

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace weir::http
