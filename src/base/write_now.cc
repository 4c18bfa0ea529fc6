#include "base/write_now.h"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace weir {
namespace {

bool has_room(int fd, int patience_ms) {
  pollfd one{fd, POLLOUT, 0};
  return ::poll(&one, 1, patience_ms) == 1 && (one.revents & POLLOUT) != 0;
}

bool is_file(int fd) {
  struct stat facts {};
  return ::fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

// A write of PIPE_BUF bytes after POLLOUT waits only where another process filled the pipe in between; with
// RWF_NOWAIT, which pipes know since Linux 6.4, not even then. Files and terminals may not know it, and a file that
// knows it may refuse every write that makes the file longer (btrfs, xfs); a file has no reader to wait for.
ssize_t write_piece(int fd, std::string_view piece) {
  const iovec bytes{const_cast<char*>(piece.data()), piece.size()};
  const ssize_t written = ::pwritev2(fd, &bytes, 1, -1, RWF_NOWAIT);
  if (written >= 0 || errno == EPIPE || errno == EBADF) return written;
  if (errno == EAGAIN && !is_file(fd)) return written;
  return ::write(fd, piece.data(), piece.size());
}

}  // namespace

size_t write_now(int fd, std::string_view text, int patience_ms) {
  size_t done = 0;
  while (done < text.size() && has_room(fd, patience_ms)) {
    const ssize_t written = write_piece(fd, text.substr(done, std::min<size_t>(PIPE_BUF, text.size() - done)));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  return done;
}

}  // namespace weir
