#include "memory/prefix/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {
namespace {

size_t index_size(int32_t blocks) { return std::bit_ceil(2 * static_cast<size_t>(blocks) + 1); }

// The finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

}  // namespace

PrefixCache::PrefixCache(const PrefixCacheOptions& options, std::pmr::memory_resource* memory)
    : options_(options),
      entries_(static_cast<size_t>(options.blocks_max), memory),
      tokens_(static_cast<size_t>(options.blocks_max) * static_cast<size_t>(options.block_tokens), memory),
      index_(index_size(options.blocks_max), kNone, memory) {
  WEIR_CHECK(options.blocks_max >= 1 && options.block_tokens >= 1);
}

uint64_t PrefixCache::storage_bytes(const PrefixCacheOptions& options) {
  const auto blocks = static_cast<uint64_t>(options.blocks_max);
  return arena_bytes(blocks * sizeof(Entry)) + arena_bytes(blocks * static_cast<uint64_t>(options.block_tokens) * sizeof(int32_t)) +
         arena_bytes(index_size(options.blocks_max) * sizeof(int32_t));
}

std::span<int32_t> PrefixCache::tokens_of(int32_t block) {
  const auto size = static_cast<size_t>(options_.block_tokens);
  return std::span<int32_t>(tokens_).subspan(static_cast<size_t>(block) * size, size);
}

// Two tokens at a time, each pair multiplied into the running state; a block of 64 takes 32 dependent multiplies.
uint64_t PrefixCache::hash_of(uint64_t parent_hash, std::span<const int32_t> tokens) const {
  uint64_t state = parent_hash ^ options_.seed;
  size_t i = 0;
  for (; i + 2 <= tokens.size(); i += 2) {
    uint64_t pair;
    std::memcpy(&pair, tokens.data() + i, sizeof(pair));
    state = (std::rotl(state, 29) ^ pair) * 0x9e3779b97f4a7c15ull;
  }
  if (i < tokens.size()) state = (std::rotl(state, 29) ^ static_cast<uint32_t>(tokens[i])) * 0x9e3779b97f4a7c15ull;
  return mix(state) & options_.hash_mask;
}

int32_t PrefixCache::find(uint64_t hash, int32_t parent, std::span<const int32_t> tokens) const {
  for (size_t i = home(hash); index_[i] != kNone; i = (i + 1) & (index_.size() - 1)) {
    const int32_t block = index_[i];
    const Entry& entry = at(block);
    if (entry.hash != hash || entry.parent != parent) continue;
    if (std::equal(tokens.begin(), tokens.end(), tokens_of(block).begin())) return block;
  }
  return kNone;
}

int32_t PrefixCache::match(std::span<const int32_t> tokens, std::span<int32_t> out) const {
  const auto size = static_cast<size_t>(options_.block_tokens);
  const size_t most = std::min(tokens.size() / size, out.size());
  uint64_t hash = 0;
  int32_t parent = kNone;
  for (size_t i = 0; i < most; ++i) {
    const auto part = tokens.subspan(i * size, size);
    hash = hash_of(hash, part);
    parent = find(hash, parent, part);
    if (parent == kNone) return static_cast<int32_t>(i);
    out[i] = parent;
  }
  return static_cast<int32_t>(most);
}

void PrefixCache::count_use(std::span<const int32_t> blocks) {
  for (const int32_t block : blocks) {
    WEIR_CHECK(at(block).known);
    if (at(block).uses < UINT32_MAX) ++at(block).uses;
  }
}

int32_t PrefixCache::publish(int32_t block, int32_t parent, std::span<const int32_t> tokens) {
  WEIR_CHECK(tokens.size() == static_cast<size_t>(options_.block_tokens));
  WEIR_CHECK(parent == kNone || at(parent).known);
  const uint64_t hash = hash_of(parent == kNone ? 0 : at(parent).hash, tokens);
  const int32_t twin = find(hash, parent, tokens);
  if (twin != kNone) return twin;
  Entry& entry = at(block);
  WEIR_CHECK(!entry.known);
  entry = {.hash = hash, .parent = parent, .uses = 1, .known = true};
  if (parent != kNone) ++at(parent).children;
  std::copy(tokens.begin(), tokens.end(), tokens_of(block).begin());
  index_insert(block);
  ++known_;
  return block;
}

void PrefixCache::on_idle(int32_t block) {
  push_newest(block, at(block).uses > 1 ? List::kProtected : List::kProbation);
  demote_excess();
}

void PrefixCache::on_held(int32_t block) { unlink(block); }

// What was shared once and not since makes room for what is shared now, but gets a second round in probation.
void PrefixCache::demote_excess() {
  while (protected_.count > 3 * (protected_.count + probation_.count) / 4 + 1) {
    const int32_t block = protected_.oldest;
    unlink(block);
    at(block).uses = 1;
    push_newest(block, List::kProbation);
  }
}

int32_t PrefixCache::evict() {
  int32_t block = probation_.oldest != kNone ? probation_.oldest : protected_.oldest;
  while (block != kNone && at(block).children > 0) block = at(block).newer;
  if (block == kNone) {
    block = protected_.oldest;
    while (block != kNone && at(block).children > 0) block = at(block).newer;
  }
  WEIR_CHECK_MSG(block != kNone, "idle blocks without an end of a chain");
  unlink(block);
  index_erase(block);
  if (at(block).parent != kNone) --at(at(block).parent).children;
  at(block) = {};
  --known_;
  return block;
}

void PrefixCache::on_moved(int32_t from, int32_t to) {
  WEIR_CHECK(at(from).known && !at(to).known);
  const List list = at(from).list;
  const int32_t newer = at(from).newer, older = at(from).older;
  index_[index_slot(from)] = to;
  std::copy(tokens_of(from).begin(), tokens_of(from).end(), tokens_of(to).begin());
  at(to) = at(from);
  at(from) = {};
  if (list != List::kNotIdle) {
    (newer == kNone ? ends(list).newest : at(newer).older) = to;
    (older == kNone ? ends(list).oldest : at(older).newer) = to;
  }
  if (at(to).children == 0) return;
  for (Entry& entry : entries_) {  // rare: only when the pool shrinks
    if (entry.known && entry.parent == from) entry.parent = to;
  }
}

void PrefixCache::push_newest(int32_t block, List list) {
  Entry& entry = at(block);
  WEIR_CHECK(entry.known && entry.list == List::kNotIdle);
  Ends& of = ends(list);
  entry.list = list;
  entry.newer = kNone;
  entry.older = of.newest;
  (of.newest == kNone ? of.oldest : at(of.newest).newer) = block;
  of.newest = block;
  ++of.count;
}

void PrefixCache::unlink(int32_t block) {
  Entry& entry = at(block);
  WEIR_CHECK(entry.list != List::kNotIdle);
  Ends& of = ends(entry.list);
  (entry.newer == kNone ? of.newest : at(entry.newer).older) = entry.older;
  (entry.older == kNone ? of.oldest : at(entry.older).newer) = entry.newer;
  entry.newer = entry.older = kNone;
  entry.list = List::kNotIdle;
  --of.count;
}

void PrefixCache::index_insert(int32_t block) {
  size_t i = home(at(block).hash);
  while (index_[i] != kNone) i = (i + 1) & (index_.size() - 1);
  index_[i] = block;
}

size_t PrefixCache::index_slot(int32_t block) const {
  size_t i = home(at(block).hash);
  while (index_[i] != block) {
    WEIR_CHECK(index_[i] != kNone);
    i = (i + 1) & (index_.size() - 1);
  }
  return i;
}

// Moves what the hole would hide one by one into it (Knuth, TAOCP 3, 6.4, algorithm R).
void PrefixCache::index_erase(int32_t block) {
  const size_t mask = index_.size() - 1;
  size_t hole = index_slot(block);
  for (size_t i = (hole + 1) & mask; index_[i] != kNone; i = (i + 1) & mask) {
    const size_t wanted = home(at(index_[i]).hash);
    if (((i - wanted) & mask) < ((i - hole) & mask)) continue;
    index_[hole] = index_[i];
    hole = i;
  }
  index_[hole] = kNone;
}

void PrefixCache::check_everything() const {
  std::vector<int32_t> children(entries_.size(), 0);
  int32_t known = 0, idle = 0, indexed = 0;
  for (const int32_t slot : index_) indexed += slot != kNone;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    WEIR_CHECK(entry.known || entry.list == List::kNotIdle);
    if (!entry.known) continue;
    ++known;
    idle += entry.list != List::kNotIdle;
    WEIR_CHECK(find(entry.hash, entry.parent, tokens_of(static_cast<int32_t>(i))) == static_cast<int32_t>(i));
    if (entry.parent == kNone) continue;
    WEIR_CHECK(at(entry.parent).known);
    ++children[static_cast<size_t>(entry.parent)];
  }
  for (size_t i = 0; i < entries_.size(); ++i) WEIR_CHECK(children[i] == entries_[i].children);
  WEIR_CHECK(known == known_ && indexed == known && idle == probation_.count + protected_.count);
}

}  // namespace weir
