#include "memory/blocks/block_pool.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {
namespace {

constexpr int32_t kNoRow = -1;

BlockPoolOptions checked(BlockPoolOptions options) {
  if (options.blocks_max == 0) options.blocks_max = options.blocks;
  WEIR_CHECK(options.blocks >= 1 && options.blocks <= options.blocks_max);
  WEIR_CHECK(options.block_tokens >= 1 && options.block_tokens <= 65536);
  WEIR_CHECK(options.sequences_max >= 1 && options.sequences_max <= 1 << 20);
  WEIR_CHECK(options.blocks_per_sequence_max >= 1 && options.blocks_per_sequence_max <= options.blocks_max);
  return options;
}

// Filled so that the first to go out is 0: tables of a fresh server read well in a debugger.
void fill_stack(int32_t begin, int32_t end, std::pmr::vector<int32_t>* stack) {
  for (int32_t i = end; i-- > begin;) stack->push_back(i);
}

size_t cells(const BlockPoolOptions& options) {
  return static_cast<size_t>(options.sequences_max) * static_cast<size_t>(options.blocks_per_sequence_max);
}

}  // namespace

BlockTable::BlockTable(BlockTable&& other) noexcept : pool_(other.pool_), row_(other.row_) {
  other.pool_ = nullptr;
  other.row_ = kNoRow;
}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this == &other) return *this;
  close();
  std::swap(pool_, other.pool_);
  std::swap(row_, other.row_);
  return *this;
}

Grow BlockTable::grow(int64_t to_tokens) {
  WEIR_CHECK(is_open());
  return pool_->grow(row_, to_tokens);
}

void BlockTable::release() {
  if (is_open()) pool_->release(row_);
}

void BlockTable::close() {
  if (is_open()) pool_->close(row_);
  pool_ = nullptr;
  row_ = kNoRow;
}

std::span<const int32_t> BlockTable::blocks() const {
  if (!is_open()) return {};
  return pool_->row_blocks(row_);
}

int64_t BlockTable::capacity_tokens() const {
  return is_open() ? static_cast<int64_t>(blocks().size()) * pool_->options_.block_tokens : 0;
}

BlockPool::BlockPool(const BlockPoolOptions& options, BlockKeeper* keeper, std::pmr::memory_resource* memory)
    : options_(checked(options)),
      keeper_(keeper),
      region_(memory),
      lengths_(memory),
      free_(memory),
      free_rows_(memory),
      references_(memory),
      moved_to_(memory),
      kept_(memory),
      total_(options.blocks) {
  const auto most = static_cast<size_t>(options_.blocks_max);
  region_.resize(cells(options_));
  lengths_.assign(static_cast<size_t>(options_.sequences_max), kNoRow);
  references_.assign(most, 0);
  moved_to_.assign(most, kNoRow);
  kept_.assign(most, 0);
  free_.reserve(most);
  free_rows_.reserve(lengths_.size());
  fill_stack(0, total_, &free_);
  fill_stack(0, options_.sequences_max, &free_rows_);
  publish_counts();
}

BlockPool::~BlockPool() {
  WEIR_CHECK(live_ == 0);
  WEIR_CHECK(free_rows_.size() == static_cast<size_t>(options_.sequences_max));
}

uint64_t BlockPool::storage_bytes(const BlockPoolOptions& given) {
  const BlockPoolOptions options = checked(given);
  const auto blocks = static_cast<uint64_t>(options.blocks_max), rows = static_cast<uint64_t>(options.sequences_max);
  return arena_bytes(cells(options) * sizeof(int32_t)) + 2 * arena_bytes(rows * sizeof(int32_t)) +
         3 * arena_bytes(blocks * sizeof(int32_t)) + arena_bytes(blocks);
}

std::optional<BlockTable> BlockPool::open_table() {
  if (free_rows_.empty()) return {};
  const int32_t row = free_rows_.back();
  free_rows_.pop_back();
  lengths_[static_cast<size_t>(row)] = 0;
  publish_counts();
  return BlockTable(this, row);
}

int64_t BlockPool::blocks_for(int64_t tokens) const {
  WEIR_CHECK(tokens >= 0);
  return tokens / options_.block_tokens + (tokens % options_.block_tokens != 0 ? 1 : 0);
}

int64_t BlockPool::tokens_per_sequence_max() const {
  return static_cast<int64_t>(options_.blocks_per_sequence_max) * options_.block_tokens;
}

int32_t* BlockPool::row_at(int32_t row) {
  return region_.data() + static_cast<size_t>(row) * static_cast<size_t>(options_.blocks_per_sequence_max);
}

std::span<const int32_t> BlockPool::row_blocks(int32_t row) const {
  return {const_cast<BlockPool*>(this)->row_at(row), static_cast<size_t>(lengths_[static_cast<size_t>(row)])};
}

void BlockPool::evict_one() {
  WEIR_CHECK(evictable_ > 0);
  const int32_t block = keeper_->evict();
  WEIR_CHECK(kept_[static_cast<size_t>(block)] && references_[static_cast<size_t>(block)] == 0);
  kept_[static_cast<size_t>(block)] = 0;
  --evictable_;
  free_.push_back(block);
  evictions_.fetch_add(1, std::memory_order_relaxed);
}

// REQUIRES: one is obtainable.
int32_t BlockPool::take_block() {
  if (free_.empty()) evict_one();
  const int32_t block = free_.back();
  free_.pop_back();
  WEIR_CHECK(references_[static_cast<size_t>(block)] == 0);
  references_[static_cast<size_t>(block)] = 1;
  ++live_;
  return block;
}

void BlockPool::hold(int32_t block) {
  if (references_[static_cast<size_t>(block)]++ > 0) return;
  WEIR_CHECK_MSG(kept_[static_cast<size_t>(block)], "a free block cannot be shared");
  --evictable_;
  ++live_;
  keeper_->on_held(block);
}

void BlockPool::let_go(int32_t block) {
  int32_t& references = references_[static_cast<size_t>(block)];
  WEIR_CHECK(references > 0);
  if (--references > 0) return;
  --live_;
  if (kept_[static_cast<size_t>(block)]) {
    ++evictable_;
    keeper_->on_idle(block);
  } else {
    free_.push_back(block);
  }
}

Grow BlockPool::grow(int32_t row, int64_t to_tokens) {
  const int64_t want = blocks_for(to_tokens);
  int32_t& length = lengths_[static_cast<size_t>(row)];
  if (want > options_.blocks_per_sequence_max) return Grow::kRowFull;
  if (want - length > static_cast<int64_t>(free_.size()) + evictable_) return Grow::kPoolEmpty;
  for (int32_t* cells_of_row = row_at(row); length < want; ++length) cells_of_row[length] = take_block();
  publish_counts();
  return Grow::kOk;
}

void BlockPool::adopt(int32_t row, std::span<const int32_t> blocks) {
  int32_t& length = lengths_[static_cast<size_t>(row)];
  WEIR_CHECK(blocks.size() <= static_cast<size_t>(options_.blocks_per_sequence_max - length));
  for (const int32_t block : blocks) {
    hold(block);
    row_at(row)[length++] = block;
  }
  publish_counts();
}

std::optional<BlockCopy> BlockPool::make_writable(int32_t row, int32_t index) {
  WEIR_CHECK(index < lengths_[static_cast<size_t>(row)]);
  int32_t& cell = row_at(row)[index];
  if (references_[static_cast<size_t>(cell)] == 1) return {};
  const BlockCopy copy{.from = cell, .to = take_block()};
  let_go(copy.from);
  cell = copy.to;
  publish_counts();
  return copy;
}

void BlockPool::replace(int32_t row, int32_t index, int32_t other) {
  int32_t& cell = row_at(row)[index];
  WEIR_CHECK(references_[static_cast<size_t>(cell)] == 1 && !kept_[static_cast<size_t>(cell)]);
  hold(other);
  let_go(cell);
  cell = other;
  publish_counts();
}

void BlockPool::keep(int32_t block) {
  WEIR_CHECK(keeper_ != nullptr && references_[static_cast<size_t>(block)] > 0);
  WEIR_CHECK(!kept_[static_cast<size_t>(block)]);
  kept_[static_cast<size_t>(block)] = 1;
}

int32_t BlockPool::evict_all() {
  const int32_t count = evictable_;
  while (evictable_ > 0) evict_one();
  publish_counts();
  return count;
}

void BlockPool::release(int32_t row) {
  int32_t& length = lengths_[static_cast<size_t>(row)];
  // From the end, so that the next sequence gets them in the order this one had them, and so that of a kept chain
  // the beginning, which more texts share, is the last to become idle.
  for (const int32_t* cells_of_row = row_at(row); length > 0;) let_go(cells_of_row[--length]);
  publish_counts();
}

void BlockPool::close(int32_t row) {
  release(row);
  lengths_[static_cast<size_t>(row)] = kNoRow;
  free_rows_.push_back(row);
  publish_counts();
}

void BlockPool::publish_counts() {
  WEIR_CHECK(static_cast<int64_t>(free_.size()) + live_ + evictable_ == total_);
  total_count_.store(total_, std::memory_order_relaxed);
  free_count_.store(static_cast<int32_t>(free_.size()), std::memory_order_relaxed);
  live_count_.store(live_, std::memory_order_relaxed);
  evictable_count_.store(evictable_, std::memory_order_relaxed);
  open_count_.store(options_.sequences_max - static_cast<int32_t>(free_rows_.size()), std::memory_order_relaxed);
}

void BlockPool::check_everything() const {
  std::vector<int32_t> listed(references_.size(), 0);
  std::vector<char> is_free(references_.size(), 0);
  for (const int32_t block : free_) {
    WEIR_CHECK(block < total_ && !is_free.at(static_cast<size_t>(block)) && !kept_[static_cast<size_t>(block)]);
    is_free[static_cast<size_t>(block)] = 1;
  }
  for (int32_t row = 0; row < options_.sequences_max; ++row) {
    if (lengths_[static_cast<size_t>(row)] < 0) continue;
    for (const int32_t block : row_blocks(row)) ++listed.at(static_cast<size_t>(block));
  }
  int32_t live = 0, evictable = 0;
  for (int32_t block = 0; block < options_.blocks_max; ++block) {
    const auto i = static_cast<size_t>(block);
    WEIR_CHECK(references_[i] == listed[i]);
    WEIR_CHECK(block < total_ || (listed[i] == 0 && !kept_[i]));
    WEIR_CHECK(!is_free[i] || listed[i] == 0);
    live += listed[i] > 0;
    evictable += listed[i] == 0 && kept_[i];
  }
  WEIR_CHECK(live == live_ && evictable == evictable_);
}

}  // namespace weir
