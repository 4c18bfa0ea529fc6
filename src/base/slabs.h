// Slabs: a bounded heap of its own for work that makes many small things and then forgets them all: a JSON tree,
// the values of a template.
//
// Pieces up to kPieceMax are cut from slabs that grow with what is in use; a freed one waits in the list of its
// size. Slabs and larger pieces are mapped one by one, so that counted_bytes() is what the work costs the process,
// whatever the system's allocator does, and all of it goes back at once when the object dies. Owner: its maker, on
// one thread. Limits: bytes_max; a piece beyond it is refused, never taken.
#pragma once

#include <array>
#include <cstddef>

namespace weir {

class Slabs {
 public:
  explicit Slabs(size_t bytes_max) : bytes_max_(bytes_max) {}
  ~Slabs();
  Slabs(const Slabs&) = delete;
  Slabs& operator=(const Slabs&) = delete;

  // Aligned to 16. RETURNS: null where bytes_max, or the system, has no room.
  void* take(size_t bytes);
  void give(void* piece, size_t bytes);  // REQUIRES: take(bytes) returned it
  // For a copy that the caller makes outside. RETURNS: whether there was room; it is never given back.
  bool count_outside(size_t bytes) { return count(bytes); }

  size_t counted_bytes() const { return counted_; }  // [0, bytes_max]
  size_t bytes_max() const { return bytes_max_; }

 private:
  struct Slab {
    Slab* next;
    size_t bytes;
  };
  struct Free {
    Free* next;
  };
  static constexpr size_t kGrain = 16;          // pieces are multiples of it
  static constexpr size_t kPieceMax = 8 << 10;  // larger ones are no pieces of a slab
  static constexpr size_t kSlabMin = 16 << 10;  // a short chat needs one or two
  static constexpr size_t kSlabMax = 256 << 10;

  static constexpr size_t list_of(size_t bytes) { return (bytes + kGrain - 1) / kGrain; }
  bool count(size_t bytes);
  void* take_large(size_t bytes);
  void give_large(void* piece, size_t bytes);
  bool add_slab();

  const size_t bytes_max_;
  size_t counted_ = 0;
  Slab* slabs_ = nullptr;
  char* at_ = nullptr;  // the rest of the newest slab
  size_t left_ = 0;
  std::array<Free*, kPieceMax / kGrain + 1> free_{};
};

}  // namespace weir
