// Listening sockets and the process-wide settings that a server needs. POSIX alone; call from the main thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir::http {

inline constexpr std::string_view kUnixPrefix = "unix:";
constexpr bool is_unix_address(std::string_view address) {
  return address.substr(0, kUnixPrefix.size()) == kUnixPrefix;
}

// Descriptors of `count` sockets that listen on the same address and port; they close themselves unless released.
// Accepted sockets inherit their options (Linux): TCP_NODELAY, keep-alive probes, bounded kernel buffers.
class Listeners {
 public:
  // port 0: the kernel chooses one. user_timeout_ms: unacknowledged data older than this ends a connection.
  // "unix:/PATH" is a Unix socket: all descriptors are one socket, the port is 0 and the timeout has no meaning.
  // The file has the rights that the umask leaves; one that an ended server left behind is replaced, and nothing
  // else is. ERRORS: kInvalidArgument when the address cannot be resolved; kFailedPrecondition when it cannot be
  // bound.
  static Result<Listeners> open(const std::string& address, uint16_t port, int count, int64_t user_timeout_ms);
  Listeners(Listeners&&) = default;
  Listeners& operator=(Listeners&&) = delete;
  ~Listeners();

  uint16_t port() const { return port_; }
  int release(size_t index);  // the caller owns it now

 private:
  Listeners() = default;
  static Result<Listeners> open_unix(const std::string& path, int count);
  std::vector<int> fds_;
  uint16_t port_ = 0;
};

// Raises the soft descriptor limit to the hard one. RETURNS: the limit now in force.
uint64_t raise_descriptor_limit();
void ignore_sigpipe();

}  // namespace weir::http
