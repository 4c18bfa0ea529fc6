#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<std::string> read_small_file(const std::string& path, uint64_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return not_found(path + ": there is no such file");
  if (file.fd < 0) return failed_precondition(path + ": cannot be opened: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return failed_precondition(path + ": is not a regular file");
  }
  std::string text;
  char chunk[16384];
  for (;;) {
    const ssize_t count = ::read(file.fd, chunk, sizeof chunk);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed_precondition(path + ": cannot be read: " + std::strerror(errno));
    if (count == 0) return text;
    text.append(chunk, static_cast<size_t>(count));
    if (text.size() > bytes_max) {
      return Status(Code::kTooLarge, path + ": is larger than the " + std::to_string(bytes_max) + " bytes allowed");
    }
  }
}

}  // namespace weir
