// Slabs: the bytes of one render, asked for before they are taken.
//
// Small pieces are cut from slabs that grow with what is in use; a freed one waits in the list of its size. Larger pieces
// come one by one. Every slab and every large piece counts with all that the system's allocator sets aside for it, so
// count_bytes() is what the render costs the process. Owner: a Heap, on one thread. Limits: bytes_max; a piece beyond it
// is refused, never taken. Slabs go back when the object dies.
#pragma once

#include <array>
#include <cstddef>

namespace weir::jinja {

class Slabs {
 public:
  explicit Slabs(size_t bytes_max) : bytes_max_(bytes_max) {}
  ~Slabs();
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  // Aligned for anything but over-aligned types. RETURNS: null where bytes_max, or the system, has no room.
  void* take(size_t bytes);
  void give(void* piece, size_t bytes);  // REQUIRES: take(bytes) returned it
  // For a copy that the caller makes outside. RETURNS: whether there was room; it is never given back.
  bool count_outside(size_t bytes) { return count(bytes); }

  size_t counted_bytes() const { return counted_; }  // [0, bytes_max]

 private:
  struct Slab {
    Slab* next;
    size_t bytes;
  };
  struct Free {
    Free* next;
  };
  static constexpr size_t kGrain = 16;             // pieces are multiples of it
  static constexpr size_t kPieceMax = 1024;        // larger ones are no pieces of a slab
  static constexpr size_t kSlabMin = 4 << 10;      // a short chat needs a few of these
  static constexpr size_t kSlabMax = 256 << 10;    // the allocator maps these by themselves and gives them back whole

  static constexpr size_t list_of(size_t bytes) { return (bytes + kGrain - 1) / kGrain; }
  bool count(size_t bytes);
  void* take_large(size_t bytes);
  bool add_slab();

  const size_t bytes_max_;
  size_t counted_ = 0;
  Slab* slabs_ = nullptr;
  char* at_ = nullptr;   // the rest of the newest slab
  size_t left_ = 0;
  std::array<Free*, kPieceMax / kGrain + 1> free_{};
};

}  // namespace weir::jinja
