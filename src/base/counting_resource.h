// CountingResource: says how many bytes a bump allocator will need, by running the real constructor once.
//
// Size-only mode for everything built on std::pmr: construct the object on a CountingResource, read bytes(), throw the
// object away. The plan's line and the arena's part then come from the same code and cannot drift apart. Owner: the
// caller, on one thread. Limits: none of its own; it lends real memory of the process until the object dies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>

#include "base/check.h"
#include "base/units.h"

namespace weir {

// Every allocation from an arena begins at a multiple of this: a cache line, so that two owners never share one.
inline constexpr size_t kArenaAlignment = 64;
constexpr uint64_t arena_bytes(uint64_t bytes) { return round_up(bytes == 0 ? 1 : bytes, kArenaAlignment); }

class CountingResource final : public std::pmr::memory_resource {
 public:
  // RETURNS: what all allocations so far take in an arena, which never reuses what was given back.
  uint64_t bytes() const { return bytes_; }

 private:
  void* do_allocate(size_t bytes, size_t alignment) override {
    WEIR_CHECK(alignment <= kArenaAlignment);
    bytes_ += arena_bytes(bytes);
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, size_t bytes, size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  uint64_t bytes_ = 0;
};

}  // namespace weir
