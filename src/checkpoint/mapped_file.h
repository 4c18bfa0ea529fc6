// Weights of a model directory through a read-only mapping (small texts: base/files.h).
//
// Any thread. Only regular files are opened (never a pipe or a device, which could block or never end); symbolic
// links are followed, because a hub cache is made of them. Nothing is ever written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace weir {

// What the file system says of a file. Times are nanoseconds since 1970; changed_ns is the one that no program can set.
struct FileFacts {
  uint64_t bytes = 0, inode = 0;
  int64_t modified_ns = 0, changed_ns = 0;
};

// An open descriptor of a regular file. Move-only.
class RegularFile {
 public:
  // ERRORS: kNotFound; kFailedPrecondition for no permission or too many open files; kDataLoss for not regular.
  static Result<RegularFile> open(const std::string& path);
  RegularFile(RegularFile&& other) noexcept : fd_(other.fd_), size_(other.size_) { other.fd_ = -1; }
  RegularFile& operator=(RegularFile&& other) = delete;
  ~RegularFile();

  uint64_t size_at_open() const { return size_; }
  // As it is now. ERRORS: kDataLoss when it cannot be asked.
  Result<FileFacts> facts_now() const;
  int fd() const { return fd_; }

 private:
  RegularFile(int fd, uint64_t size) : fd_(fd), size_(size) {}
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A whole file mapped read-only. Its pages are page cache that the kernel can drop; they count in this process's
// resident size while they are touched.
//
// A file that shrinks after open() makes the missing pages fault with SIGBUS; nothing in user space can prevent
// that. check_size() narrows the window: loaders call it just before they copy.
class MappedFile {
 public:
  static Result<std::unique_ptr<MappedFile>> open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  // ERRORS: kDataLoss when the file no longer has the size it had at open.
  Status check_size() const;
  Result<FileFacts> facts_now() const { return file_.facts_now(); }
  bool contains(std::span<const std::byte> part) const;
  // Takes the pages that `part` touches out of the resident size; reading them again is allowed and slow.
  // REQUIRES: contains(part).
  void drop_pages(std::span<const std::byte> part) const;
  // Copies `part` of the file as it is now, without making a page of the mapping resident; a file that shrank is an error
  // here and no fault. REQUIRES: contains(part), into.size() == part.size(). ERRORS: kDataLoss.
  Status copy(std::span<const std::byte> part, std::span<std::byte> into) const;
  // Asks the kernel to start reading up to `bytes` that begin at `from` into its cache; nothing becomes resident here.
  // REQUIRES: `from` lies in bytes(), or at its end.
  void read_ahead(const std::byte* from, uint64_t bytes) const;

 private:
  MappedFile(RegularFile file, std::string path, std::span<const std::byte> bytes)
      : file_(std::move(file)), path_(std::move(path)), bytes_(bytes) {}
  RegularFile file_;
  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace weir
