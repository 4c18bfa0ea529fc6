// BlockScratch: a scratch copy of a BlockPool to plan a step on, and the one place that commits such a plan.
//
// A planner asks "could this row grow?", "what if that one gave way?" and nothing has happened yet; commit() replays
// what was planned on the pool and CHECKs that the pool then counts what the scratch counted.
// Owner: the engine thread. Nothing allocates after construction: blocks and rows are copied when they are first
// touched, and forgotten by begin() in constant time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/blocks/block_pool.h"

namespace weir {

class BlockScratch {
 public:
  explicit BlockScratch(BlockPool* pool, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t storage_bytes(const BlockPoolOptions& options);

  // Forgets what was planned: the scratch is as the pool is now.
  void begin();

  // The planned state.
  int32_t obtainable_blocks() const { return free_ + evictable_; }
  int32_t live_blocks() const { return pool_->total_blocks() - obtainable_blocks(); }
  int32_t length(int32_t row) const;  // blocks
  // Of these blocks, which nobody holds: adopt() makes them live.
  int32_t idle_among(std::span<const int32_t> blocks) const;
  bool is_shared(int32_t row, int32_t index) const;

  // Each returns false, and plans nothing, when it cannot be done. All rows are open.
  [[nodiscard]] bool adopt(int32_t row, std::span<const int32_t> blocks);  // REQUIRES: row is empty; row_full cannot be
  [[nodiscard]] Grow grow(int32_t row, int64_t to_tokens);
  [[nodiscard]] bool make_writable(int32_t row, int32_t index);  // nothing to do if it is not shared
  void release(int32_t row);

  // Room for adopt(): a planner stops starting sequences for this step when it is short.
  bool can_remember(size_t blocks) const { return ids_.size() + blocks <= ids_.capacity(); }

  // Does it. Copies that make_writable() asked for are appended.
  void commit(BlockCopies* copies);

 private:
  struct RowState {
    uint32_t epoch = 0;
    int32_t length = 0;   // planned
    int32_t fresh = 0;    // of these, taken in this plan: at the end of the row
    int32_t adopted_begin = -1, adopted_count = 0;  // in ids_, before the fresh ones
    bool released = false;
  };
  struct Adopted { int32_t row, begin, count; };
  struct Cell { int32_t row, index; };
  struct Growth { int32_t row; int64_t to_tokens; };

  RowState& row(int32_t row);
  int32_t& references(int32_t block);
  int32_t references_now(int32_t block) const;
  int32_t block_at(const RowState& state, int32_t row, int32_t index) const;
  void take(int32_t blocks);
  void hold(int32_t block);
  void let_go(int32_t block);

  BlockPool* const pool_;
  uint32_t epoch_ = 0;
  int32_t free_ = 0, evictable_ = 0;
  std::pmr::vector<RowState> rows_;         // [sequences_max]
  std::pmr::vector<uint32_t> block_epoch_;  // [blocks_max]
  std::pmr::vector<int32_t> references_;    // [blocks_max], valid where block_epoch_ is the present one
  std::pmr::vector<int32_t> ids_;           // of adopted blocks
  std::pmr::vector<Adopted> adopted_;
  std::pmr::vector<Cell> writable_;
  std::pmr::vector<int32_t> released_;
  std::pmr::vector<Growth> grown_;
};

}  // namespace weir
