// The system calls of a weight cache: a folder, files in it by name alone, and what must be written or not at all.
//
// For weight_cache.cc; make_weight_cache_folder() is for the start. Thread: main at load, but read_at() and
// write_at(), which any thread may call at once. Nothing here follows a link inside the folder, waits for a pipe,
// or leaves a file of its own behind after an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace weir {

// An open descriptor; move-only.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) = delete;
  ~Descriptor();
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Makes the folder, for this user alone (0700), where it is not there; the folder that it lies in must be. "" is no
// cache. ERRORS: kFailedPrecondition when it cannot be made, or is no folder that this user may read: an operator
// who asks for a cache gets one or is told, before any work is done.
Status make_weight_cache_folder(const std::string& folder);

// ERRORS: kUnavailable, with what to do.
Result<Descriptor> open_cache_folder(const std::string& folder);

// A file that may be trusted as far as its owner goes: regular, of this user or of root, writable by nobody else.
// MODIFIES: *bytes, its size. ERRORS: kNotFound; kFailedPrecondition.
Result<Descriptor> open_cache_file(const Descriptor& folder, const std::string& file, uint64_t* bytes);

// Lets read_at() of whole pages into whole pages go past the page cache, where the file system can: no copy, and nobody
// else's pages are pushed out. RETURNS: whether it will. Not while another thread reads.
bool read_past_page_cache(const Descriptor& file, bool on);

// All of `into`, or of `from`; and gives the pages back to the kernel behind it, when they are on the disk.
// ERRORS: kDataLoss when the file ends before; kFailedPrecondition or kResourceExhausted from the system.
Status read_at(const Descriptor& file, uint64_t offset, std::span<std::byte> into);
Status write_at(const Descriptor& file, uint64_t offset, std::span<const std::byte> from);

// A file that has no final name yet. Unless commit() was ok, it is removed by the destructor; after a crash by sweep().
class UnfinishedFile {
 public:
  // Has the room of `bytes` where the file system can promise it.
  // ERRORS: kResourceExhausted when there is not that much room, and some to spare; kFailedPrecondition.
  static Result<UnfinishedFile> create(const Descriptor& folder, const std::string& file, uint64_t bytes);
  // Removes unfinished weight caches whose writer is dead.
  static void sweep(const Descriptor& folder);

  UnfinishedFile(UnfinishedFile&& other) noexcept;
  UnfinishedFile& operator=(UnfinishedFile&& other) = delete;
  ~UnfinishedFile();

  const Descriptor& descriptor() const { return descriptor_; }
  // Durable first, then under its final name. ERRORS: as write_at().
  Status commit();

 private:
  UnfinishedFile(const Descriptor& folder, std::string file, std::string temporary, Descriptor descriptor);

  int folder_;
  std::string file_, temporary_;  // temporary_ is empty when there is nothing to remove
  Descriptor descriptor_;
};

}  // namespace weir
