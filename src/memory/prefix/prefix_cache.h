// PrefixCache: knows which kept blocks hold which text, so that a new sequence shares what an earlier one computed.
//
// A whole block is known by its tokens and by the block before it: a chained hash finds it, comparing the tokens
// and the parent confirms it, so a collision costs time and never a wrong answer. Blocks that nobody holds wait in two
// lists: once used (probation) and shared at least once (protected, at most three quarters); what lay longest in
// probation goes first (segmented LRU: Karedla, Love, Wherry, IEEE Computer 1994).
// A parent outlives its children: whoever holds a child holds the parent, and of a released row the last block
// becomes idle first.
// Owner: the engine thread. Storage is taken in the constructor; no call allocates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/blocks/block_pool.h"

namespace weir {

struct PrefixCacheOptions {
  int32_t blocks_max = 0;  // as the pool's
  int32_t block_tokens = 64;
  uint64_t hash_mask = ~0ull;  // tests force collisions with a small one
  uint64_t seed = 0;           // of the hash: another one per process, so that clients cannot aim at collisions
};

class PrefixCache final : public BlockKeeper {
 public:
  static constexpr int32_t kNone = -1;

  explicit PrefixCache(const PrefixCacheOptions& options,
                       std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t storage_bytes(const PrefixCacheOptions& options);

  // The longest run of whole known blocks at the beginning of `tokens`; at most out.size() of them.
  // RETURNS: how many were written to `out`, in order. Counts nothing: see count_use.
  int32_t match(std::span<const int32_t> tokens, std::span<int32_t> out) const;
  // A sequence shares these from now on: they are worth more.
  void count_use(std::span<const int32_t> blocks);

  // Makes `block` known, whose `tokens` (a whole block) follow those of `parent` (kNone: they begin the text).
  // RETURNS: `block`, or another block that was known for the same text already, which the caller should use instead.
  // REQUIRES: pool.keep(block) follows where `block` is returned.
  int32_t publish(int32_t block, int32_t parent, std::span<const int32_t> tokens);

  // BlockKeeper
  void on_idle(int32_t block) override;
  void on_held(int32_t block) override;
  int32_t evict() override;
  void on_moved(int32_t from, int32_t to) override;

  int32_t known_blocks() const { return known_; }
  void check_everything() const;  // CHECKs links and the index; for tests and simulators

 private:
  enum class List : uint8_t { kNotIdle, kProbation, kProtected };
  struct Entry {
    uint64_t hash = 0;
    int32_t parent = kNone;
    int32_t children = 0;
    int32_t newer = kNone, older = kNone;  // within its list
    uint32_t uses = 0;
    List list = List::kNotIdle;
    bool known = false;
  };
  struct Ends {
    int32_t newest = kNone, oldest = kNone, count = 0;
  };

  uint64_t hash_of(uint64_t parent_hash, std::span<const int32_t> tokens) const;
  int32_t find(uint64_t hash, int32_t parent, std::span<const int32_t> tokens) const;
  std::span<int32_t> tokens_of(int32_t block);
  std::span<const int32_t> tokens_of(int32_t block) const { return const_cast<PrefixCache*>(this)->tokens_of(block); }
  Entry& at(int32_t block) { return entries_[static_cast<size_t>(block)]; }
  const Entry& at(int32_t block) const { return entries_[static_cast<size_t>(block)]; }
  Ends& ends(List list) { return list == List::kProbation ? probation_ : protected_; }
  void push_newest(int32_t block, List list);
  void unlink(int32_t block);
  void demote_excess();
  void index_insert(int32_t block);
  void index_erase(int32_t block);
  size_t home(uint64_t hash) const { return static_cast<size_t>(hash) & (index_.size() - 1); }
  size_t index_slot(int32_t block) const;

  const PrefixCacheOptions options_;
  std::pmr::vector<Entry> entries_;   // [blocks_max]
  std::pmr::vector<int32_t> tokens_;  // [blocks_max, block_tokens]
  std::pmr::vector<int32_t> index_;   // hash table with linear probing: block or kNone; at most half full
  Ends probation_, protected_;
  int32_t known_ = 0;
};

}  // namespace weir
