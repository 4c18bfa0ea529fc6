// BlockPool: the fixed set of KV blocks and the tables that say which sequence holds which.
//
// Owner: the engine thread, for every call but the counters, which any thread may read. All storage is taken in
// the constructor; nothing allocates afterwards. It knows ids alone: the bytes of a block belong to the model, and
// who gets a block is the schedule's decision. Today a block has one holder; reference counts for shared prefixes
// will replace `holder_` without a change to BlockTable's callers.
// Invariant, checked after every change: free + live == total.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace weir {

struct BlockPoolOptions {
  int32_t blocks = 0;                   // [1, 2^31)
  int32_t block_tokens = 64;            // tokens per block, [1, 65536]
  int32_t sequences_max = 0;            // tables open at once, [1, 2^20]
  int32_t blocks_per_sequence_max = 0;  // width of a table's row, [1, blocks]
};

class BlockPool;

enum class Grow {
  kOk,
  kPoolEmpty,  // not enough free blocks now; the table is unchanged
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
  // REQUIRES: options in range (they come from a plan, not from outside).
  explicit BlockPool(const BlockPoolOptions& options);
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();  // CHECKs that every table was closed

  // RETURNS: an empty table, or nothing while sequences_max tables are open.
  [[nodiscard]] std::optional<BlockTable> open_table();

  // [sequences_max, blocks_per_sequence_max] int32, row-major: what kernels read. Entries past a table's length
  // are stale ids, always valid ones. The address never changes.
  const int32_t* table_region() const { return region_.data(); }
  int32_t table_stride() const { return options_.blocks_per_sequence_max; }
  const BlockPoolOptions& options() const { return options_; }
  int64_t tokens_per_sequence_max() const;

  // Blocks that tokens need. REQUIRES: tokens >= 0.
  int64_t blocks_for(int64_t tokens) const;

  // Any thread; each is a momentary value.
  int32_t total_blocks() const { return options_.blocks; }
  int32_t free_blocks() const { return free_count_.load(std::memory_order_relaxed); }
  int32_t live_blocks() const { return live_count_.load(std::memory_order_relaxed); }
  int32_t open_tables() const { return open_count_.load(std::memory_order_relaxed); }

  // Walks everything: each block is free once or held once, and by the row that lists it. For tests and simulators.
  void check_everything() const;
  // Bytes that the constructor allocates: the plan's line "block tables".
  static uint64_t storage_bytes(const BlockPoolOptions& options);

 private:
  friend class BlockTable;
  Grow grow(int32_t row, int64_t to_tokens);
  void release(int32_t row);
  void close(int32_t row);
  void publish_counts();
  int32_t* row_at(int32_t row);

  const BlockPoolOptions options_;
  std::vector<int32_t> region_;     // [sequences_max, blocks_per_sequence_max]
  std::vector<int32_t> lengths_;    // [sequences_max], blocks held by each row; -1 while closed
  std::vector<int32_t> free_;       // a stack: the block freed last is warm in cache and goes out first
  std::vector<int32_t> free_rows_;  // the same, of rows
  std::vector<int32_t> holder_;     // [blocks], the row that holds each; -1 while free
  int32_t live_ = 0;
  std::atomic<int32_t> free_count_{0}, live_count_{0}, open_count_{0};
};

}  // namespace weir
