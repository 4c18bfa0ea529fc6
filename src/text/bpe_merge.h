// The merge loop itself, and the scratch memory one encode call needs.
//
// Owner: whoever calls encode; one thread at a time. Memory: 28 bytes a symbol of the longest piece, and a cache
// of at most kWordCacheSlots words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/token_table.h"

namespace weir {

inline constexpr size_t kWordCacheSlots = 4096;

// Remembers the ids of words seen earlier in the same call: text repeats itself. Direct-mapped, bounded.
class WordCache {
 public:
  // text_bytes: length of the text to come; short texts get a small cache, the shortest none.
  void prepare(size_t text_bytes);
  // RETURNS: true and appends the ids when the word is known.
  bool get(std::string_view word, uint64_t hash, std::vector<int32_t>* out) const;
  void put(std::string_view word, uint64_t hash, const int32_t* ids, size_t count);

 private:
  struct Slot {
    uint64_t hash = 0;
    uint32_t key_begin = 0, key_bytes = 0;
    uint32_t ids_begin = 0, ids_count = 0;  // count 0: empty
  };
  std::vector<Slot> slots_;
  std::string keys_;
  std::vector<int32_t> ids_;
};

struct BpeScratch {
  std::vector<int32_t> symbols;
  std::vector<uint32_t> ranks;
  std::vector<uint32_t> next, previous;
  std::vector<uint64_t> heap;
  WordCache cache;
};

// Merges scratch->symbols in place until no pair of neighbours merges.
void merge_symbols(const MergeTable& merges, BpeScratch* scratch);

}  // namespace weir
