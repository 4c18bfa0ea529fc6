#include "charges/counted_malloc.h"

#include <malloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

// glibc's own, under the names that it exports for programs that replace the usual ones.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);
}

namespace weir::testing {
namespace {

constexpr int64_t kHeaderBytes = 8;
constinit std::atomic<int64_t> live{0}, peak{0};

void grow(int64_t bytes) {
  const int64_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

void* note(void* memory) {
  if (memory != nullptr) grow(static_cast<int64_t>(malloc_usable_size(memory)) + kHeaderBytes);
  return memory;
}

void forget(void* memory) {
  if (memory == nullptr) return;
  live.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)) + kHeaderBytes, std::memory_order_relaxed);
}

}  // namespace

int64_t malloc_live_bytes() { return live.load(); }
int64_t malloc_peak_bytes() { return peak.load(); }
void reset_malloc_peak() { peak.store(live.load()); }

}  // namespace weir::testing

using weir::testing::forget;
using weir::testing::note;

extern "C" {
void* malloc(size_t bytes) { return note(__libc_malloc(bytes)); }
void* calloc(size_t count, size_t bytes) { return note(__libc_calloc(count, bytes)); }
void* realloc(void* memory, size_t bytes) {
  // Old and new may both be there for a moment.
  const auto old =
      memory == nullptr ? 0 : static_cast<int64_t>(malloc_usable_size(memory)) + weir::testing::kHeaderBytes;
  void* const moved = __libc_realloc(memory, bytes);
  if (moved != nullptr || bytes == 0) {
    note(moved);
    weir::testing::live.fetch_sub(old, std::memory_order_relaxed);
  }
  return moved;
}
void* memalign(size_t alignment, size_t bytes) { return note(__libc_memalign(alignment, bytes)); }
void* aligned_alloc(size_t alignment, size_t bytes) { return note(__libc_memalign(alignment, bytes)); }
int posix_memalign(void** out, size_t alignment, size_t bytes) {
  void* const memory = note(__libc_memalign(alignment, bytes));
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}
// For code that maps by itself (base/slabs.h); glibc's own calls do not come by here.
void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  const auto mapped = syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
  void* const memory = reinterpret_cast<void*>(mapped);
  if (mapped != -1) weir::testing::grow(static_cast<int64_t>(bytes));
  return memory;
}
int munmap(void* memory, size_t bytes) noexcept {
  weir::testing::live.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  return static_cast<int>(syscall(SYS_munmap, memory, bytes));
}
void free(void* memory) {
  forget(memory);
  __libc_free(memory);
}
}
