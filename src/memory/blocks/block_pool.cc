#include "memory/blocks/block_pool.h"

#include <utility>

#include "base/check.h"

namespace weir {
namespace {

constexpr int32_t kNoRow = -1;

void check_options(const BlockPoolOptions& options) {
  WEIR_CHECK(options.blocks >= 1);
  WEIR_CHECK(options.block_tokens >= 1 && options.block_tokens <= 65536);
  WEIR_CHECK(options.sequences_max >= 1 && options.sequences_max <= 1 << 20);
  WEIR_CHECK(options.blocks_per_sequence_max >= 1 && options.blocks_per_sequence_max <= options.blocks);
}

// Filled so that the first to go out is 0: tables of a fresh server read well in a debugger.
std::vector<int32_t> full_stack(int32_t count) {
  std::vector<int32_t> stack(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) stack[static_cast<size_t>(i)] = count - 1 - i;
  return stack;
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
  return {pool_->row_at(row_), static_cast<size_t>(pool_->lengths_[static_cast<size_t>(row_)])};
}

int64_t BlockTable::capacity_tokens() const {
  return is_open() ? static_cast<int64_t>(blocks().size()) * pool_->options_.block_tokens : 0;
}

BlockPool::BlockPool(const BlockPoolOptions& options) : options_(options) {
  check_options(options);
  region_.resize(cells(options));
  lengths_.assign(static_cast<size_t>(options.sequences_max), kNoRow);
  holder_.assign(static_cast<size_t>(options.blocks), kNoRow);
  free_ = full_stack(options.blocks);
  free_rows_ = full_stack(options.sequences_max);
  publish_counts();
}

BlockPool::~BlockPool() {
  WEIR_CHECK(live_ == 0);
  WEIR_CHECK(free_rows_.size() == static_cast<size_t>(options_.sequences_max));
}

uint64_t BlockPool::storage_bytes(const BlockPoolOptions& options) {
  check_options(options);
  const size_t per_block = 2;  // free_, holder_
  const size_t per_row = 2;    // lengths_, free_rows_
  return sizeof(int32_t) * (cells(options) + per_block * static_cast<size_t>(options.blocks) +
                            per_row * static_cast<size_t>(options.sequences_max));
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

Grow BlockPool::grow(int32_t row, int64_t to_tokens) {
  const int64_t want = blocks_for(to_tokens);
  int32_t& length = lengths_[static_cast<size_t>(row)];
  if (want > options_.blocks_per_sequence_max) return Grow::kRowFull;
  if (want - length > static_cast<int64_t>(free_.size())) return Grow::kPoolEmpty;
  for (int32_t* cells_of_row = row_at(row); length < want; ++length, ++live_) {
    const int32_t block = free_.back();
    free_.pop_back();
    WEIR_CHECK(holder_[static_cast<size_t>(block)] == kNoRow);
    holder_[static_cast<size_t>(block)] = row;
    cells_of_row[length] = block;
  }
  publish_counts();
  return Grow::kOk;
}

void BlockPool::release(int32_t row) {
  int32_t& length = lengths_[static_cast<size_t>(row)];
  // From the end, so that the next sequence gets them in the order this one had them.
  for (const int32_t* cells_of_row = row_at(row); length > 0; --live_) {
    const int32_t block = cells_of_row[--length];
    WEIR_CHECK(holder_[static_cast<size_t>(block)] == row);
    holder_[static_cast<size_t>(block)] = kNoRow;
    free_.push_back(block);
  }
  publish_counts();
}

void BlockPool::close(int32_t row) {
  release(row);
  lengths_[static_cast<size_t>(row)] = kNoRow;
  free_rows_.push_back(row);
  publish_counts();
}

void BlockPool::publish_counts() {
  WEIR_CHECK(static_cast<int64_t>(free_.size()) + live_ == options_.blocks);
  free_count_.store(static_cast<int32_t>(free_.size()), std::memory_order_relaxed);
  live_count_.store(live_, std::memory_order_relaxed);
  open_count_.store(options_.sequences_max - static_cast<int32_t>(free_rows_.size()), std::memory_order_relaxed);
}

void BlockPool::check_everything() const {
  std::vector<int> seen(static_cast<size_t>(options_.blocks), 0);
  for (const int32_t block : free_) {
    WEIR_CHECK(holder_.at(static_cast<size_t>(block)) == kNoRow);
    ++seen.at(static_cast<size_t>(block));
  }
  for (int32_t row = 0; row < options_.sequences_max; ++row) {
    for (int32_t i = 0; i < lengths_[static_cast<size_t>(row)]; ++i) {
      const int32_t block = const_cast<BlockPool*>(this)->row_at(row)[i];
      WEIR_CHECK(holder_.at(static_cast<size_t>(block)) == row);
      ++seen.at(static_cast<size_t>(block));
    }
  }
  for (const int count : seen) WEIR_CHECK(count == 1);
}

}  // namespace weir
