// Arena: one stretch of memory, taken and touched at start, from which tables, rings and buffers are cut once.
//
// Each owner opens a part by the name of its plan line, with the bytes that the plan gave it, and builds its pmr
// containers on that part. The bytes come from running the same constructor on a CountingResource, so plan and use
// agree to the byte. After seal() nothing can be allocated any more: whoever asks is named, and the process stops.
//
// Owner: server/, beside the Region the memory belongs to; outlives everything built on it. Thread: main, before the
// others start; afterwards nobody. Limits: the span given. Never: grows, moves, frees one piece (deallocate does
// nothing), or reads the system. Errors: asking too much or too late is our own bug, a CHECK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>

#include "base/counting_resource.h"

namespace weir {

class Arena final : public std::pmr::memory_resource {
 public:
  class Part final : public std::pmr::memory_resource {
   public:
    Part(const Arena* arena, std::string_view name, std::span<std::byte> memory)
        : arena_(arena), name_(name), memory_(memory) {}
    const std::string& name() const { return name_; }
    uint64_t bytes() const { return memory_.size(); }
    uint64_t used_bytes() const { return used_; }

   private:
    friend class Arena;
    void* do_allocate(size_t bytes, size_t alignment) override;
    void do_deallocate(void*, size_t, size_t) override {}
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

    const Arena* const arena_;
    const std::string name_;
    const std::span<std::byte> memory_;
    uint64_t used_ = 0;
  };

  Arena() : Arena(std::span<std::byte>()) {}
  // memory: zeroed and resident, aligned to kArenaAlignment; Device::reserve() gives both.
  explicit Arena(std::span<std::byte> memory);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A stretch of `bytes` for one owner; the reference is good as long as the arena.
  // REQUIRES: not sealed; bytes() - used_bytes() >= arena_bytes(bytes).
  Part& part(std::string_view name, uint64_t bytes);

  void seal() { sealed_ = true; }
  bool sealed() const { return sealed_; }
  uint64_t bytes() const { return memory_.size(); }
  uint64_t used_bytes() const { return used_; }  // given to parts, whether they use it or not, or allocated directly
  const std::deque<Part>& parts() const { return parts_; }

 private:
  std::byte* cut(std::string_view name, uint64_t bytes);
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void*, size_t, size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  const std::span<std::byte> memory_;
  uint64_t used_ = 0;
  bool sealed_ = false;
  std::deque<Part> parts_;  // never moves an element
};

}  // namespace weir
