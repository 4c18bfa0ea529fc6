#include "memory/arena/arena.h"

#include <cstdio>

namespace weir {
namespace {

// Checks one request against what is left. Its message names who asked, without allocating.
void check_request(std::string_view name, uint64_t bytes, uint64_t left, bool sealed) {
  char text[160];
  const int length = static_cast<int>(name.size());
  if (sealed) {
    std::snprintf(text, sizeof text, "'%.*s' asked the sealed arena for %llu bytes", length, name.data(),
                  static_cast<unsigned long long>(bytes));
    WEIR_CHECK_MSG(!sealed, text);
  }
  if (bytes > left) {
    std::snprintf(text, sizeof text, "'%.*s' asked for %llu bytes and %llu are left of what the plan gave it", length,
                  name.data(), static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(left));
    WEIR_CHECK_MSG(bytes <= left, text);
  }
}

}  // namespace

Arena::Arena(std::span<std::byte> memory) : memory_(memory) {
  WEIR_CHECK(reinterpret_cast<uintptr_t>(memory.data()) % kArenaAlignment == 0);
}

std::byte* Arena::cut(std::string_view name, uint64_t bytes) {
  check_request(name, bytes, memory_.size() - used_, sealed_);
  std::byte* begin = memory_.data() + used_;
  used_ += bytes;
  return begin;
}

Arena::Part& Arena::part(std::string_view name, uint64_t bytes) {
  bytes = arena_bytes(bytes);
  std::byte* begin = cut(name, bytes);
  return parts_.emplace_back(this, name, std::span<std::byte>(begin, bytes));
}

void* Arena::do_allocate(size_t bytes, size_t alignment) {
  WEIR_CHECK(alignment <= kArenaAlignment && bytes <= memory_.size());
  return cut("arena", arena_bytes(bytes));
}

void* Arena::Part::do_allocate(size_t bytes, size_t alignment) {
  // Whole lines only after the plain number was looked at: a size near 2^64 must not wrap round.
  check_request(name_, bytes, memory_.size() - used_, arena_->sealed_);
  WEIR_CHECK(alignment <= kArenaAlignment);
  check_request(name_, arena_bytes(bytes), memory_.size() - used_, arena_->sealed_);
  std::byte* begin = memory_.data() + used_;
  used_ += arena_bytes(bytes);
  return begin;
}

}  // namespace weir
