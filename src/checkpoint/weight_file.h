// A file of weights, read by position (small texts: base/files.h).
//
// Nothing is mapped: a page of a mapping that the file no longer has is a SIGBUS, and a model may be replaced at
// any moment. Any thread. Only regular files are opened (never a pipe or a device, which could block or never end);
// symbolic links are followed, because a hub cache is made of them. Nothing is ever written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace weir {

// What the file system says of a file. Times are nanoseconds since 1970; changed_ns is the one that no program can
// set.
struct FileFacts {
  uint64_t bytes = 0, inode = 0;
  int64_t modified_ns = 0, changed_ns = 0;
};

class WeightFile {
 public:
  // ERRORS: kNotFound; kFailedPrecondition for no permission or too many open files; kDataLoss for an empty file,
  // or one that is not regular.
  static Result<std::unique_ptr<WeightFile>> open(const std::string& path);
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;
  ~WeightFile();

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return at_open_.bytes; }  // when it was opened
  // As it is now. ERRORS: kDataLoss when it cannot be asked.
  Result<FileFacts> facts_now() const;
  // ERRORS: kDataLoss when the file has another size than at open(), or was written to since.
  Status check_unchanged() const;

  // Fills `into` with the file's bytes from `offset` on, as they are now. REQUIRES: offset + into.size() <=
  // bytes(). ERRORS: kDataLoss where the file ends before, or cannot be read.
  Status read(uint64_t offset, std::span<std::byte> into) const;
  // The same for threads that may not allocate, as the workers. RETURNS: whether all was read; read() then says why
  // not.
  bool try_read(uint64_t offset, std::span<std::byte> into) const noexcept;
  // Asks the kernel to start reading up to `bytes` from `offset` on into its cache. Past the end of the file is no
  // error.
  void read_ahead(uint64_t offset, uint64_t bytes) const;

 private:
  WeightFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  const int fd_;
  const std::string path_;
  FileFacts at_open_;
};

}  // namespace weir
