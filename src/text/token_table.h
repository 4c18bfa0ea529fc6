// Two constant tables: token text <-> id, and pair of ids -> merge.
//
// Owner: text room. Built once during load, then read by any thread. Memory: about 20 bytes an entry plus the
// text, and 16-32 bytes a merge; bounded by kTokenIdMax and by the size of the file they came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/token_hash.h"

namespace weir {

class TokenTable {
 public:
  TokenTable() = default;
  // entries: ids 0..kTokenIdMax, each id and each text at most once; empty text makes a hole.
  explicit TokenTable(std::vector<std::pair<std::string_view, int32_t>> entries);

  int32_t size() const { return static_cast<int32_t>(begin_.empty() ? 0 : begin_.size() - 1); }  // highest id + 1
  // "" for holes and ids outside 0..size()-1.
  std::string_view text(int32_t id) const {
    if (id < 0 || id >= size()) return {};
    return std::string_view(arena_).substr(begin_[id], begin_[id + 1] - begin_[id]);
  }
  // RETURNS: -1 when absent.
  int32_t find(std::string_view text) const { return find(text, hash(text)); }
  int32_t find(std::string_view text, uint64_t hash) const;
  uint64_t hash(std::string_view text) const;
  uint64_t memory_bytes() const;

 private:
  struct Slot {
    int32_t id = -1;
    uint32_t tag = 0;  // high half of the hash, so that most misses never touch the arena
  };
  void insert(int32_t id);

  uint64_t seed_ = 0;
  std::string arena_;
  std::vector<uint32_t> begin_;
  std::vector<Slot> slots_;
  size_t mask_ = 0;
};

struct Merge {
  uint32_t rank;  // lower merges first
  int32_t id;     // what the pair becomes
};

class MergeTable {
 public:
  void reserve(size_t merges);  // REQUIRES: called once, before any insert; no more inserts than this
  void insert(int32_t left, int32_t right, Merge merge);  // replaces an earlier entry
  // RETURNS: null when the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = slot_of(key);; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return &slots_[at].merge;
      if (slots_[at].key == kEmpty) return nullptr;
    }
  }
  uint64_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge{};
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot_of(uint64_t key) const {
    return static_cast<size_t>(token_hash_mix(key ^ seed_, 0x9E3779B97F4A7C15)) & mask_;
  }

  uint64_t seed_ = 0;
  std::vector<Slot> slots_{1};  // one empty slot: a table without merges answers too
  size_t mask_ = 0;
};

}  // namespace weir
