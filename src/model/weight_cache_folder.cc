#include "model/weight_cache_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>

#include "base/random_bytes.h"
#include "base/units.h"

namespace weir {
namespace {

constexpr std::string_view kUnfinishedEnding = ".tmp";
constexpr std::string_view kCacheEnding = ".weights.";  // in ".NAME.weights.0123456789abcdef.tmp"
constexpr size_t kRandomDigits = 16;
// Room that must stay free, so that whatever else lives on that disk can go on.
constexpr uint64_t kSpareBytes = 64 * kMiB;
// An unfinished file without a lock is left alone for so long: its writer may be about to take the lock.
constexpr time_t kYoungSeconds = 60;

Status system_error(std::string_view what, int error) {
  const bool room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Status(room ? Code::kResourceExhausted : Code::kFailedPrecondition, fmt::format("{}: {}", what, std::strerror(error)));
}

std::string random_name(const std::string& file) {
  std::array<uint8_t, kRandomDigits / 2> bytes;
  fill_random(bytes);
  std::string name = "." + file + ".";
  for (const uint8_t byte : bytes) name += fmt::format("{:02x}", byte);
  return name.append(kUnfinishedEnding);
}

bool is_unfinished_name(std::string_view name) {
  const size_t tail = kCacheEnding.size() + kRandomDigits + kUnfinishedEnding.size();
  if (name.size() <= tail || name.front() != '.' || !name.ends_with(kUnfinishedEnding)) return false;
  return name.substr(name.size() - tail).starts_with(kCacheEnding);
}

// A process over its limit would not see an error but be killed by SIGXFSZ.
Status check_room(int folder, uint64_t bytes) {
  rlimit limit{};
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur) {
    return Status(Code::kResourceExhausted, fmt::format("the file needs {} and this process may write files of {} (ulimit -f)",
                                                        format_bytes(bytes), format_bytes(limit.rlim_cur)));
  }
  struct statvfs space {};
  if (fstatvfs(folder, &space) != 0) return ok_status();  // the write itself will tell
  const uint64_t free_bytes = uint64_t{space.f_bavail} * space.f_frsize;
  if (free_bytes >= bytes && free_bytes - bytes >= kSpareBytes) return ok_status();
  return Status(Code::kResourceExhausted,
                fmt::format("the disk has {} free, and the file needs {} with {} to spare", format_bytes(free_bytes),
                            format_bytes(bytes), format_bytes(kSpareBytes)));
}

void drop_from_page_cache(int fd, uint64_t offset, uint64_t bytes) {
  posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_DONTNEED);
}

// Nobody holds its lock, and it is not so young that nobody could yet.
bool writer_is_dead(int folder, const char* name) {
  const Descriptor file(openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat facts {};
  if (!file.open() || fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return false;
  const time_t now = time(nullptr);
  if (now >= facts.st_mtime && now - facts.st_mtime < kYoungSeconds) return false;
  return flock(file.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Descriptor> open_cache_folder(const std::string& folder) {
  Descriptor out(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (out.open()) return out;
  return Status(Code::kUnavailable, fmt::format("the folder cannot be used: {}; make it, or name another with --weight-cache",
                                                std::strerror(errno)));
}

Status make_weight_cache_folder(const std::string& folder) {
  if (folder.empty()) return ok_status();
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    const char* advice = errno == ENOENT ? "make the folder that it lies in" : "make it, or name another";
    return failed_precondition(
        fmt::format("--weight-cache {}: the folder cannot be made: {}; {}", folder, std::strerror(errno), advice));
  }
  const Status usable = open_cache_folder(folder).status();
  return usable.ok() ? usable : failed_precondition("--weight-cache " + folder + ": " + usable.message());
}

Result<Descriptor> open_cache_file(const Descriptor& folder, const std::string& file, uint64_t* bytes) {
  Descriptor out(openat(folder.get(), file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!out.open() && errno == ENOENT) return not_found("it is not there yet");
  if (!out.open() && errno == ELOOP) return failed_precondition("it is a symbolic link, which is not followed");
  if (!out.open()) return system_error("it cannot be opened", errno);
  struct stat facts {};
  if (fstat(out.get(), &facts) != 0 || !S_ISREG(facts.st_mode)) return failed_precondition("it is not a regular file");
  if (facts.st_uid != geteuid() && facts.st_uid != 0) return failed_precondition("it belongs to another user");
  if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) return failed_precondition("other users may write to it");
  *bytes = static_cast<uint64_t>(facts.st_size);
  return out;
}

bool read_past_page_cache(const Descriptor& file, bool on) {
  const int flags = fcntl(file.get(), F_GETFL);
  return flags >= 0 && fcntl(file.get(), F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 && on;
}

Status read_at(const Descriptor& file, uint64_t offset, std::span<std::byte> into) {
  for (size_t done = 0; done < into.size();) {
    const ssize_t count = pread(file.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("it cannot be read", errno);
    if (count == 0) return data_loss("it is cut short");
    done += static_cast<size_t>(count);
  }
  drop_from_page_cache(file.get(), offset, into.size());
  return ok_status();
}

Status write_at(const Descriptor& file, uint64_t offset, std::span<const std::byte> from) {
  for (size_t done = 0; done < from.size();) {
    const ssize_t count = pwrite(file.get(), from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return system_error("it cannot be written", count < 0 ? errno : ENOSPC);
    done += static_cast<size_t>(count);
  }
  // Only what is on the disk can leave the page cache. Whether it got there is fsync's word, not this one's.
  (void)sync_file_range(file.get(), static_cast<off_t>(offset), static_cast<off_t>(from.size()),
                        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  drop_from_page_cache(file.get(), offset, from.size());
  return ok_status();
}

UnfinishedFile::UnfinishedFile(const Descriptor& folder, std::string file, std::string temporary, Descriptor descriptor)
    : folder_(folder.get()), file_(std::move(file)), temporary_(std::move(temporary)), descriptor_(std::move(descriptor)) {}

UnfinishedFile::UnfinishedFile(UnfinishedFile&& other) noexcept
    : folder_(other.folder_),
      file_(std::move(other.file_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::move(other.descriptor_)) {
  other.temporary_.clear();
}

UnfinishedFile::~UnfinishedFile() {
  if (!temporary_.empty()) unlinkat(folder_, temporary_.c_str(), 0);
}

Result<UnfinishedFile> UnfinishedFile::create(const Descriptor& folder, const std::string& file, uint64_t bytes) {
  WEIR_RETURN_IF_ERROR(check_room(folder.get(), bytes));
  std::string name = random_name(file);
  Descriptor descriptor(openat(folder.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!descriptor.open()) return system_error("no file can be made in the folder", errno);
  UnfinishedFile out(folder, file, std::move(name), std::move(descriptor));
  // Held until the file is closed, and gone with a process that dies: see writer_is_dead().
  (void)flock(out.descriptor_.get(), LOCK_EX | LOCK_NB);
  if (fallocate(out.descriptor_.get(), 0, 0, static_cast<off_t>(bytes)) == 0) return out;
  if (errno == EOPNOTSUPP || errno == ENOSYS) return out;
  return system_error("its room cannot be reserved", errno);
}

void UnfinishedFile::sweep(const Descriptor& folder) {
  const int copy = openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  DIR* entries = fdopendir(copy);
  if (entries == nullptr) {
    ::close(copy);
    return;
  }
  while (const dirent* entry = readdir(entries)) {
    if (is_unfinished_name(entry->d_name) && writer_is_dead(folder.get(), entry->d_name)) {
      unlinkat(folder.get(), entry->d_name, 0);
    }
  }
  closedir(entries);
}

Status UnfinishedFile::commit() {
  if (fsync(descriptor_.get()) != 0) return system_error("it cannot be made durable", errno);
  if (renameat(folder_, temporary_.c_str(), folder_, file_.c_str()) != 0) {
    return failed_precondition(fmt::format("it cannot take its place ({}); remove what is there", std::strerror(errno)));
  }
  temporary_.clear();
  // Some file systems cannot do it for a folder: the file stands, and a crash may take it away again.
  if (fsync(folder_) != 0 && errno != EINVAL && errno != ENOTSUP) {
    return system_error("its folder cannot be made durable", errno);
  }
  return ok_status();
}

}  // namespace weir
