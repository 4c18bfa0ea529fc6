#include "text/bpe_merge.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace weir {
namespace {

constexpr uint32_t kNoRank = UINT32_MAX;
constexpr uint32_t kNone = UINT32_MAX;
// Below this many symbols a scan for the lowest rank beats a heap: the ranks fit a few cache lines.
constexpr size_t kScanSymbolsMax = 48;
constexpr size_t kCachedWordBytesMax = 64;

uint32_t rank_of(const MergeTable& merges, int32_t left, int32_t right) {
  const Merge* merge = merges.find(left, right);
  return merge == nullptr ? kNoRank : merge->rank;
}

void merge_by_scan(const MergeTable& merges, BpeScratch* scratch) {
  auto& symbols = scratch->symbols;
  auto& ranks = scratch->ranks;  // of the pair (i, i + 1)
  size_t count = symbols.size();
  ranks.resize(count);
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = rank_of(merges, symbols[i], symbols[i + 1]);
  while (count > 1) {
    const size_t at = std::min_element(ranks.begin(), ranks.begin() + count - 1) - ranks.begin();
    if (ranks[at] == kNoRank) break;
    symbols[at] = merges.find(symbols[at], symbols[at + 1])->id;
    std::copy(symbols.begin() + at + 2, symbols.begin() + count, symbols.begin() + at + 1);
    std::copy(ranks.begin() + at + 1, ranks.begin() + count - 1, ranks.begin() + at);
    --count;
    if (at + 1 < count) ranks[at] = rank_of(merges, symbols[at], symbols[at + 1]);
    if (at > 0) ranks[at - 1] = rank_of(merges, symbols[at - 1], symbols[at]);
  }
  symbols.resize(count);
}

// A linked list of symbols and a heap of (rank, position). Entries are not removed when their pair is gone; they
// are recognised as stale when they surface, because the pair at that position then has another rank.
void merge_by_heap(const MergeTable& merges, BpeScratch* scratch) {
  auto& symbols = scratch->symbols;
  auto& next = scratch->next;
  auto& previous = scratch->previous;
  auto& heap = scratch->heap;
  const size_t count = symbols.size();
  next.resize(count);
  previous.resize(count);
  heap.clear();
  auto offer = [&](uint32_t at) {
    if (at == kNone || next[at] == kNone) return false;
    const uint32_t rank = rank_of(merges, symbols[at], symbols[next[at]]);
    if (rank == kNoRank) return false;
    heap.push_back(uint64_t{rank} << 32 | at);
    return true;
  };
  for (size_t i = 0; i < count; ++i) {
    next[i] = i + 1 < count ? static_cast<uint32_t>(i + 1) : kNone;
    previous[i] = i > 0 ? static_cast<uint32_t>(i - 1) : kNone;
  }
  for (uint32_t i = 0; i < count; ++i) offer(i);
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const auto at = static_cast<uint32_t>(heap.back());
    const auto rank = static_cast<uint32_t>(heap.back() >> 32);
    heap.pop_back();
    if (symbols[at] < 0 || next[at] == kNone) continue;
    const uint32_t right = next[at];
    const Merge* merge = merges.find(symbols[at], symbols[right]);
    if (merge == nullptr || merge->rank != rank) continue;
    symbols[at] = merge->id;
    symbols[right] = -1;
    next[at] = next[right];
    if (next[at] != kNone) previous[next[at]] = at;
    if (offer(previous[at])) std::push_heap(heap.begin(), heap.end(), std::greater<>());
    if (offer(at)) std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  std::erase(symbols, -1);
}

}  // namespace

void merge_symbols(const MergeTable& merges, BpeScratch* scratch) {
  if (scratch->symbols.size() <= kScanSymbolsMax) {
    merge_by_scan(merges, scratch);
  } else {
    merge_by_heap(merges, scratch);
  }
}

void WordCache::prepare(size_t text_bytes) {
  // Setting up a slot costs about as much as it saves on text that is too short to repeat itself.
  const size_t slots = text_bytes < 1024 ? 0 : std::bit_floor(std::min(text_bytes / 16, kWordCacheSlots));
  if (slots > slots_.size()) slots_.resize(slots);
}

bool WordCache::get(std::string_view word, uint64_t hash, std::vector<int32_t>* out) const {
  if (slots_.empty()) return false;
  const Slot& slot = slots_[hash & (slots_.size() - 1)];
  if (slot.ids_count == 0 || slot.hash != hash) return false;
  if (std::string_view(keys_).substr(slot.key_begin, slot.key_bytes) != word) return false;
  out->insert(out->end(), ids_.begin() + slot.ids_begin, ids_.begin() + slot.ids_begin + slot.ids_count);
  return true;
}

void WordCache::put(std::string_view word, uint64_t hash, const int32_t* ids, size_t count) {
  if (slots_.empty() || count == 0 || word.size() > kCachedWordBytesMax) return;
  if (ids_.size() > slots_.size() * 8) {  // replaced words leave their ids behind: start over now and then
    std::fill(slots_.begin(), slots_.end(), Slot{});
    keys_.clear();
    ids_.clear();
  }
  slots_[hash & (slots_.size() - 1)] = {hash, static_cast<uint32_t>(keys_.size()), static_cast<uint32_t>(word.size()),
                                        static_cast<uint32_t>(ids_.size()), static_cast<uint32_t>(count)};
  keys_.append(word);
  ids_.insert(ids_.end(), ids, ids + count);
}

}  // namespace weir
