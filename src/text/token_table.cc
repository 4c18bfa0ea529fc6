#include "text/token_table.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <random>

#include "base/check.h"

namespace weir {
namespace {

uint64_t make_seed() {
  try {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
  } catch (...) {  // no entropy source: the clock is a poor secret, and better than a constant
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
}

// At most half full, so that probing stays short.
size_t slots_for(size_t entries) { return std::bit_ceil(entries * 2 + 2); }

}  // namespace

uint64_t token_hash_seed() {
  static const uint64_t seed = make_seed();
  return seed;
}

TokenTable::TokenTable(std::vector<std::pair<std::string_view, int32_t>> entries) : seed_(token_hash_seed()) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  size_t bytes = 0;
  for (const auto& [text, id] : entries) bytes += text.size();
  WEIR_CHECK(bytes < UINT32_MAX);  // files are capped far below this
  arena_.reserve(bytes);
  if (!entries.empty()) begin_.reserve(static_cast<size_t>(entries.back().second) + 2);
  for (const auto& [text, id] : entries) {
    WEIR_CHECK(id >= size() || begin_.empty());
    begin_.resize(static_cast<size_t>(id) + 1, static_cast<uint32_t>(arena_.size()));
    arena_.append(text);
    begin_.push_back(static_cast<uint32_t>(arena_.size()));
  }
  slots_.resize(slots_for(entries.size()));
  mask_ = slots_.size() - 1;
  for (const auto& [text, id] : entries) {
    if (!text.empty()) insert(id);
  }
}

uint64_t TokenTable::hash(std::string_view text) const { return token_hash(text, seed_); }

void TokenTable::insert(int32_t id) {
  const uint64_t h = hash(text(id));
  size_t at = h & mask_;
  while (slots_[at].id >= 0) at = (at + 1) & mask_;
  slots_[at] = {id, static_cast<uint32_t>(h >> 32)};
}

int32_t TokenTable::find(std::string_view wanted, uint64_t hash) const {
  if (slots_.empty()) return -1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask_; slots_[at].id >= 0; at = (at + 1) & mask_) {
    if (slots_[at].tag == tag && text(slots_[at].id) == wanted) return slots_[at].id;
  }
  return -1;
}

uint64_t TokenTable::memory_bytes() const {
  return arena_.capacity() + begin_.capacity() * sizeof(begin_[0]) + slots_.capacity() * sizeof(Slot);
}

void MergeTable::reserve(size_t merges) {
  seed_ = token_hash_seed();
  slots_.assign(slots_for(merges), Slot{});
  mask_ = slots_.size() - 1;
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  size_t at = slot_of(key);
  while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
  slots_[at] = {key, merge};
}

}  // namespace weir
