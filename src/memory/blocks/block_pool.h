// BlockPool: the set of KV blocks and the tables that say which sequences hold which.
//
// Owner: the engine thread, for every call but the counters, which any thread may read. All storage is taken in
// the constructor; nothing allocates afterwards. It knows ids alone: the bytes of a block belong to the model, who
// gets a block is the schedule's decision, and what a block without a holder is worth is the keeper's.
// A block is free, live (held by one table or more) or evictable (held by none, its contents kept for sharing).
// Invariant, checked after every change: free + live + evictable == total.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include "memory/blocks/block_keeper.h"

namespace weir {

struct BlockPoolOptions {
  int32_t blocks = 0;                   // [1, 2^31): in the pool now
  int32_t blocks_max = 0;               // resize() may go so far; 0: blocks
  int32_t block_tokens = 64;            // tokens per block, [1, 65536]
  int32_t sequences_max = 0;            // tables open at once, [1, 2^20]
  int32_t blocks_per_sequence_max = 0;  // width of a table's row, [1, blocks_max]
};

// Bytes of block `from` are to be copied to block `to`, all layers. Copies are made in order, before anything is
// written in the step that carries them.
struct BlockCopy {
  int32_t from = 0;
  int32_t to = 0;
  bool operator==(const BlockCopy&) const = default;
};

using BlockCopies = std::pmr::vector<BlockCopy>;

class BlockPool;

enum class Grow {
  kOk,
  kPoolEmpty,  // not enough blocks to be had now; the table is unchanged
  kRowFull,    // more than blocks_per_sequence_max: no amount of waiting helps; the table is unchanged
};

// The blocks of one sequence, in token order: a row of the pool's table region. Move-only; gives everything back
// when destroyed. REQUIRES: destroyed before its pool. Engine thread.
class [[nodiscard]] BlockTable {
 public:
  BlockTable() = default;  // closed: holds no row
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;
  ~BlockTable() { close(); }

  // Makes room for tokens [0, to_tokens); all or nothing; fewer than now is kOk and changes nothing.
  // REQUIRES: is_open().
  [[nodiscard]] Grow grow(int64_t to_tokens);
  // Gives the blocks back and keeps the row: what preemption by recomputation does.
  void release();
  // Gives blocks and row back. Closing a closed table does nothing.
  void close();

  bool is_open() const { return pool_ != nullptr; }
  int32_t row() const { return row_; }  // index into table_region(), [0, sequences_max)
  std::span<const int32_t> blocks() const;
  int64_t capacity_tokens() const;

 private:
  friend class BlockPool;
  BlockTable(BlockPool* pool, int32_t row) : pool_(pool), row_(row) {}
  BlockPool* pool_ = nullptr;
  int32_t row_ = -1;
};

class BlockPool {
 public:
  // REQUIRES: options in range (they come from a plan, not from outside); the keeper, if any, outlives the pool.
  explicit BlockPool(const BlockPoolOptions& options, BlockKeeper* keeper = nullptr,
                     std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();  // CHECKs that every table was closed

  // RETURNS: an empty table, or nothing while sequences_max tables are open.
  [[nodiscard]] std::optional<BlockTable> open_table();

  // ---- Sharing ----
  // Appends blocks that other tables hold or the keeper keeps. REQUIRES: they fit the row.
  void adopt(int32_t row, std::span<const int32_t> blocks);
  // Gives `row` a block of its own at `index` if it shares that one. RETURNS: the copy to make, if any.
  // REQUIRES: one can be had.
  std::optional<BlockCopy> make_writable(int32_t row, int32_t index);
  // Puts `other`, which has the same contents, in the place of a block that only this row holds.
  void replace(int32_t row, int32_t index, int32_t other);
  // From now on the keeper knows this block's contents. REQUIRES: it is live.
  void keep(int32_t block);
  // Lets the keeper give up all idle blocks. RETURNS: how many.
  int32_t evict_all();

  // ---- Size ----
  // Grows or shrinks to `blocks`, [1, blocks_max]. Shrinking evicts what is idle as far as needed and moves what lies
  // beyond the new end; the moves are appended to `copies`, to be made before the memory is given back.
  // REQUIRES: live_blocks() <= blocks; room for every move in `copies`.
  void resize(int32_t blocks, BlockCopies* copies);

  // [sequences_max, blocks_per_sequence_max] int32, row-major: what kernels read. Entries past a table's length
  // are stale ids, always below blocks_max. The address never changes.
  const int32_t* table_region() const { return region_.data(); }
  int32_t table_stride() const { return options_.blocks_per_sequence_max; }
  const BlockPoolOptions& options() const { return options_; }
  int64_t tokens_per_sequence_max() const;
  std::span<const int32_t> row_blocks(int32_t row) const;
  int32_t references(int32_t block) const { return references_[static_cast<size_t>(block)]; }
  bool is_kept(int32_t block) const { return kept_[static_cast<size_t>(block)]; }

  // Blocks that tokens need. REQUIRES: tokens >= 0.
  int64_t blocks_for(int64_t tokens) const;

  // Any thread; each is a momentary value.
  int32_t total_blocks() const { return total_count_.load(std::memory_order_relaxed); }
  int32_t free_blocks() const { return free_count_.load(std::memory_order_relaxed); }
  int32_t live_blocks() const { return live_count_.load(std::memory_order_relaxed); }
  int32_t evictable_blocks() const { return evictable_count_.load(std::memory_order_relaxed); }
  int32_t obtainable_blocks() const { return free_blocks() + evictable_blocks(); }  // engine thread: exact
  int32_t open_tables() const { return open_count_.load(std::memory_order_relaxed); }
  uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }

  // Walks everything: each block is free, or evictable, or held as often as rows list it. For tests and simulators.
  void check_everything() const;
  // Bytes that the constructor takes from an arena: part of the plan's line "block tables".
  static uint64_t storage_bytes(const BlockPoolOptions& options);

 private:
  friend class BlockTable;
  friend class BlockScratch;
  Grow grow(int32_t row, int64_t to_tokens);
  void release(int32_t row);
  void close(int32_t row);
  void evict_one();
  int32_t take_block();
  void hold(int32_t block);
  void let_go(int32_t block);
  void keep_free_below(int32_t blocks);
  void move_beyond(int32_t blocks, BlockCopies* copies);
  void publish_counts();
  int32_t* row_at(int32_t row);

  const BlockPoolOptions options_;
  BlockKeeper* const keeper_;
  std::pmr::vector<int32_t> region_;      // [sequences_max, blocks_per_sequence_max]
  std::pmr::vector<int32_t> lengths_;     // [sequences_max], blocks held by each row; -1 while closed
  std::pmr::vector<int32_t> free_;        // a stack: the block freed last is warm in cache and goes out first
  std::pmr::vector<int32_t> free_rows_;   // the same, of rows
  std::pmr::vector<int32_t> references_;  // [blocks_max], how many rows hold each
  std::pmr::vector<int32_t> moved_to_;    // [blocks_max], scratch of resize()
  std::pmr::vector<char> kept_;           // [blocks_max], the keeper knows it
  int32_t total_ = 0, live_ = 0, evictable_ = 0;
  std::atomic<int32_t> total_count_{0}, free_count_{0}, live_count_{0}, evictable_count_{0}, open_count_{0};
  std::atomic<uint64_t> evictions_{0};
};

}  // namespace weir
