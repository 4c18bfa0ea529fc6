#include "checkpoint/weight_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace weir {
namespace {

Status open_error(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return not_found(fmt::format("{}: no such file", path));
  return failed_precondition(fmt::format("{}: cannot be opened: {}", path, std::strerror(error)));
}

FileFacts facts_of(const struct stat& facts) {
  const auto nanoseconds = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return {.bytes = static_cast<uint64_t>(facts.st_size),
          .inode = facts.st_ino,
          .modified_ns = nanoseconds(facts.st_mtim),
          .changed_ns = nanoseconds(facts.st_ctim)};
}

}  // namespace

Result<std::unique_ptr<WeightFile>> WeightFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return open_error(path, errno);
  std::unique_ptr<WeightFile> out(new WeightFile(fd, path));
  struct stat facts {};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < 0) {
    return data_loss(fmt::format("{}: not a regular file", path));
  }
  if (facts.st_size == 0) return data_loss(fmt::format("{}: the file is empty", path));
  out->at_open_ = facts_of(facts);
  return out;
}

WeightFile::~WeightFile() { ::close(fd_); }

Result<FileFacts> WeightFile::facts_now() const {
  struct stat facts {};
  if (fstat(fd_, &facts) != 0 || facts.st_size < 0) return data_loss(path_ + ": cannot ask for the file's size");
  return facts_of(facts);
}

Status WeightFile::check_unchanged() const {
  WEIR_ASSIGN_OR_RETURN(const FileFacts now, facts_now());
  if (now.bytes != bytes()) {
    return data_loss(fmt::format("{}: was {} bytes when opened and is {} now; do not write to a model in use",
                                 path_, bytes(), now.bytes));
  }
  if (now.modified_ns == at_open_.modified_ns) return ok_status();
  return data_loss(
      fmt::format("{}: was written to while it was read; do not write to a model in use, and start again", path_));
}

bool WeightFile::try_read(uint64_t offset, std::span<std::byte> into) const noexcept {
  for (size_t done = 0; done < into.size();) {
    const ssize_t count = pread(fd_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      if (count == 0) errno = 0;
      return false;
    }
    done += static_cast<size_t>(count);
  }
  return true;
}

Status WeightFile::read(uint64_t offset, std::span<std::byte> into) const {
  WEIR_CHECK(offset <= bytes() && into.size() <= bytes() - offset);
  if (try_read(offset, into)) return ok_status();
  const int error = errno;
  WEIR_RETURN_IF_ERROR(check_unchanged());
  return data_loss(
      fmt::format("{}: cannot be read: {}", path_, error == 0 ? "it ends before its size" : std::strerror(error)));
}

void WeightFile::read_ahead(uint64_t offset, uint64_t bytes) const {
  (void)posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

}  // namespace weir
