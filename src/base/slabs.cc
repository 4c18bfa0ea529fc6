#include "base/slabs.h"
#include "base/sanitized.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

namespace weir {
namespace {

// Under the address sanitizer each piece is its own and malloc's, so that a use after free is seen.
constexpr bool kMaps = !kAddressSanitized;

constexpr size_t kPage = 4096;
// What a piece of so many bytes costs: the system gives pages.
constexpr size_t whole_pages(size_t bytes) { return kMaps ? (bytes + kPage - 1) / kPage * kPage : bytes; }

void* map(size_t bytes) {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

}  // namespace

Slabs::~Slabs() {
  while (slabs_ != nullptr) {
    Slab* const slab = slabs_;
    slabs_ = slab->next;
    give_large(slab, slab->bytes);
  }
}

bool Slabs::count(size_t bytes) {
  if (bytes > bytes_max_ || whole_pages(bytes) > bytes_max_ - counted_) return false;
  counted_ += whole_pages(bytes);
  return true;
}

void* Slabs::take_large(size_t bytes) {
  if (!count(bytes)) return nullptr;
  void* const piece = kMaps ? map(whole_pages(bytes)) : std::malloc(bytes);
  if (piece == nullptr) counted_ -= whole_pages(bytes);
  return piece;
}

void Slabs::give_large(void* piece, size_t bytes) {
  counted_ -= whole_pages(bytes);
  if (kMaps) {
    munmap(piece, whole_pages(bytes));
  } else {
    std::free(piece);
  }
}

// Each slab is a quarter of what is there already, so that what no piece has taken yet stays a small part.
bool Slabs::add_slab() {
  const size_t wanted = std::clamp(whole_pages(counted_ / 4), kSlabMin, kSlabMax);
  const size_t bytes = std::min(wanted, (bytes_max_ - counted_) / kPage * kPage);
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
  if (!kMaps || bytes > kPieceMax) return take_large(bytes);
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
  if (!kMaps || bytes > kPieceMax) return give_large(piece, bytes);
  auto* const freed = static_cast<Free*>(piece);
  freed->next = free_[list_of(bytes)];
  free_[list_of(bytes)] = freed;
}

}  // namespace weir
