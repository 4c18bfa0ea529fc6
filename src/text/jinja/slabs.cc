#include "text/jinja/slabs.h"

#include <algorithm>
#include <cstdlib>

namespace weir::jinja {
namespace {

// Under the address sanitizer each piece is its own, so that a use after free is seen.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCutsSlabs = false;
#else
constexpr bool kCutsSlabs = true;
#endif

// What glibc sets aside for a piece of so many bytes: a header, multiples of 16, whole pages for what is mapped by itself.
constexpr size_t real_bytes(size_t bytes) {
  constexpr size_t kMapped = size_t{128} << 10, kPage = 4096;
  if (bytes >= kMapped) return (bytes + 16 + kPage - 1) / kPage * kPage;
  return std::max<size_t>(32, (bytes + 8 + 15) / 16 * 16);
}

}  // namespace

Slabs::~Slabs() {
  while (slabs_ != nullptr) {
    Slab* const slab = slabs_;
    slabs_ = slab->next;
    std::free(slab);
  }
}

bool Slabs::count(size_t bytes) {
  const size_t real = bytes > bytes_max_ ? bytes : real_bytes(bytes);
  if (real > bytes_max_ - counted_) return false;
  counted_ += real;
  return true;
}

void* Slabs::take_large(size_t bytes) {
  if (!count(bytes)) return nullptr;
  void* const piece = std::malloc(bytes);
  if (piece == nullptr) counted_ -= real_bytes(bytes);
  return piece;
}

// Each slab is an eighth of what is there already, so that what no piece has taken yet stays a small part.
bool Slabs::add_slab() {
  const size_t wanted = std::clamp(counted_ / 8 / kGrain * kGrain, kSlabMin, kSlabMax);
  constexpr size_t kAround = 4096 + 2 * kGrain;  // the slab's header and rounding
  const size_t room = (bytes_max_ - counted_) / kGrain * kGrain;
  const size_t bytes = std::min(wanted, room > kAround ? room - kAround : 0);
  if (bytes < sizeof(Slab) + kPieceMax) return false;
  auto* const slab = static_cast<Slab*>(take_large(bytes));
  if (slab == nullptr) return false;
  if (left_ > 0) {  // the rest of the old one is a piece too
    auto* const rest = reinterpret_cast<Free*>(at_);
    rest->next = free_[left_ / kGrain];
    free_[left_ / kGrain] = rest;
  }
  *slab = {slabs_, bytes};
  slabs_ = slab;
  at_ = reinterpret_cast<char*>(slab) + sizeof(Slab);
  left_ = (bytes - sizeof(Slab)) / kGrain * kGrain;
  return true;
}

void* Slabs::take(size_t bytes) {
  bytes = std::max<size_t>(bytes, 1);
  if (!kCutsSlabs || bytes > kPieceMax) return take_large(bytes);
  const size_t list = list_of(bytes);
  if (Free* const piece = free_[list]; piece != nullptr) {
    free_[list] = piece->next;
    return piece;
  }
  if (left_ < list * kGrain && !add_slab()) return nullptr;
  void* const piece = at_;
  at_ += list * kGrain;
  left_ -= list * kGrain;
  return piece;
}

void Slabs::give(void* piece, size_t bytes) {
  bytes = std::max<size_t>(bytes, 1);
  if (!kCutsSlabs || bytes > kPieceMax) {
    std::free(piece);
    counted_ -= real_bytes(bytes);
    return;
  }
  auto* const freed = static_cast<Free*>(piece);
  freed->next = free_[list_of(bytes)];
  free_[list_of(bytes)] = freed;
}

}  // namespace weir::jinja
