#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/check.h"
#include "base/units.h"

namespace weir {
namespace {

Status open_error(const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return not_found(fmt::format("{}: no such file", path));
  return failed_precondition(fmt::format("{}: cannot be opened: {}", path, std::strerror(error)));
}

uintptr_t page_bytes() {
  static const auto kBytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return kBytes;
}

}  // namespace

Result<RegularFile> RegularFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return open_error(path, errno);
  struct stat facts {};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < 0) {
    ::close(fd);
    return data_loss(fmt::format("{}: not a regular file", path));
  }
  return RegularFile(fd, static_cast<uint64_t>(facts.st_size));
}

RegularFile::~RegularFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<FileFacts> RegularFile::facts_now() const {
  struct stat facts {};
  if (fstat(fd_, &facts) != 0 || facts.st_size < 0) return data_loss("cannot ask for the file's size");
  const auto nanoseconds = [](const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return FileFacts{.bytes = static_cast<uint64_t>(facts.st_size), .inode = facts.st_ino,
                   .modified_ns = nanoseconds(facts.st_mtim), .changed_ns = nanoseconds(facts.st_ctim)};
}

Result<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(RegularFile file, RegularFile::open(path));
  const uint64_t size = file.size_at_open();
  if (size == 0) return data_loss(fmt::format("{}: the file is empty", path));
  void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (at == MAP_FAILED) {
    return failed_precondition(
        fmt::format("{}: cannot map {}: {}", path, format_bytes(size), std::strerror(errno)));
  }
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(at), size);
  return std::unique_ptr<MappedFile>(new MappedFile(std::move(file), path, bytes));
}

MappedFile::~MappedFile() { munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

Status MappedFile::check_size() const {
  const Result<FileFacts> now = file_.facts_now();
  if (!now.ok()) return now.status().with_prefix(path_);
  if (now->bytes == bytes_.size()) return ok_status();
  return data_loss(fmt::format("{}: was {} bytes when opened and is {} now; do not write to a model in use", path_,
                               bytes_.size(), now->bytes));
}

bool MappedFile::contains(std::span<const std::byte> part) const {
  const std::less_equal<const std::byte*> before;
  return before(bytes_.data(), part.data()) && before(part.data() + part.size(), bytes_.data() + bytes_.size());
}

void MappedFile::drop_pages(std::span<const std::byte> part) const {
  WEIR_CHECK(contains(part));
  // Rounding outwards may drop a neighbour's page too, which only costs it a refault: the mapping is read-only.
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data()) / page_bytes() * page_bytes();
  const uintptr_t end = round_up(reinterpret_cast<uintptr_t>(part.data()) + part.size(), page_bytes());
  if (!part.empty()) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Status MappedFile::copy(std::span<const std::byte> part, std::span<std::byte> into) const {
  WEIR_CHECK(contains(part) && into.size() == part.size());
  const auto offset = static_cast<off_t>(part.data() - bytes_.data());
  for (size_t done = 0; done < into.size();) {
    const ssize_t count = pread(file_.fd(), into.data() + done, into.size() - done, offset + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return data_loss(fmt::format("{}: cannot be read; is it being replaced?", path_));
    done += static_cast<size_t>(count);
  }
  return ok_status();
}

void MappedFile::read_ahead(const std::byte* from, uint64_t bytes) const {
  const auto base = reinterpret_cast<uintptr_t>(bytes_.data());
  const auto begin = reinterpret_cast<uintptr_t>(from) / page_bytes() * page_bytes();
  const uintptr_t end = base + bytes_.size();
  WEIR_CHECK(begin >= base && begin <= end);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), std::min<uint64_t>(end - begin, bytes), MADV_WILLNEED);
}

}  // namespace weir
