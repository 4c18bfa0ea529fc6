// BlockPool: which KV block belongs to which running place.
//
// Owner and only caller: the engine thread. A fixed number of blocks, a free list that hands out the block returned
// last (its lines are the likeliest to be in a cache), and one table row per place. All of it is sized in the
// constructor; afterwards nothing allocates. It knows block numbers only, never their memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weir {

struct BlockPoolOptions {
  int64_t blocks = 0;                   // in the pool
  int block_tokens = 64;                // positions of one block
  int sequences_max = 0;                // rows
  int64_t blocks_per_sequence_max = 0;  // columns of a row
};

class BlockPool {
 public:
  explicit BlockPool(const BlockPoolOptions& options);
  static uint64_t bytes(const BlockPoolOptions& options);  // for the plan

  // Makes row `place` cover at least `tokens` positions; a row never shrinks but by release().
  // RETURNS: false, with nothing changed, when the pool has too few free blocks.
  // REQUIRES: tokens <= blocks_per_sequence_max * block_tokens.
  [[nodiscard]] bool grow(int place, int64_t tokens);
  void release(int place);  // all blocks of the row go back

  // Block ids in order of position. Valid until the row is released; growing it extends it in place.
  std::span<const int32_t> table(int place) const;

  int64_t blocks_for(int64_t tokens) const { return (tokens + options_.block_tokens - 1) / options_.block_tokens; }
  int64_t free_count() const { return static_cast<int64_t>(free_.size()); }
  int64_t total_count() const { return options_.blocks; }
  int block_tokens() const { return options_.block_tokens; }
  // free + held == total and no block is held twice. O(blocks). CHECKs.
  void check_invariants() const;

 private:
  const BlockPoolOptions options_;
  std::vector<int32_t> free_;    // stack
  std::vector<int32_t> tables_;  // [sequences_max, blocks_per_sequence_max]
  std::vector<int32_t> counts_;  // [sequences_max]
};

}  // namespace weir
