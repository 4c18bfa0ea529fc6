#include "memory/blocks/block_scratch.h"

#include <algorithm>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {
namespace {

size_t rows_of(const BlockPoolOptions& options) { return static_cast<size_t>(options.sequences_max); }
size_t blocks_of(const BlockPoolOptions& options) {
  return static_cast<size_t>(std::max(options.blocks, options.blocks_max));
}
// Two whole rows at least, so that a planner can always start one sequence.
size_t ids_of(const BlockPoolOptions& options) {
  return blocks_of(options) + 2 * static_cast<size_t>(options.blocks_per_sequence_max);
}

}  // namespace

BlockScratch::BlockScratch(BlockPool* pool, std::pmr::memory_resource* memory)
    : pool_(pool),
      rows_(rows_of(pool->options()), memory),
      block_epoch_(blocks_of(pool->options()), memory),
      references_(blocks_of(pool->options()), memory),
      ids_(memory),
      adopted_(memory),
      writable_(memory),
      released_(memory),
      grown_(memory) {
  ids_.reserve(ids_of(pool->options()));
  adopted_.reserve(rows_.size());
  writable_.reserve(rows_.size());
  released_.reserve(rows_.size());
  grown_.reserve(2 * rows_.size());
  begin();
}

uint64_t BlockScratch::storage_bytes(const BlockPoolOptions& options) {
  const size_t rows = rows_of(options), blocks = blocks_of(options);
  return arena_bytes(rows * sizeof(RowState)) + arena_bytes(blocks * sizeof(uint32_t)) + arena_bytes(blocks * sizeof(int32_t)) +
         arena_bytes(ids_of(options) * sizeof(int32_t)) + arena_bytes(rows * sizeof(Adopted)) +
         arena_bytes(rows * sizeof(Cell)) + arena_bytes(rows * sizeof(int32_t)) + arena_bytes(2 * rows * sizeof(Growth));
}

void BlockScratch::begin() {
  if (++epoch_ == 0) {  // after 2^32 plans: stamps of the last round would look new
    for (RowState& state : rows_) state.epoch = 0;
    std::fill(block_epoch_.begin(), block_epoch_.end(), 0);
    epoch_ = 1;
  }
  free_ = pool_->free_blocks();
  evictable_ = pool_->evictable_blocks();
  ids_.clear();
  adopted_.clear();
  writable_.clear();
  released_.clear();
  grown_.clear();
}

BlockScratch::RowState& BlockScratch::row(int32_t row) {
  RowState& state = rows_[static_cast<size_t>(row)];
  if (state.epoch != epoch_) {
    state = {.epoch = epoch_, .length = static_cast<int32_t>(pool_->row_blocks(row).size())};
  }
  return state;
}

int32_t& BlockScratch::references(int32_t block) {
  const auto i = static_cast<size_t>(block);
  if (block_epoch_[i] != epoch_) {
    block_epoch_[i] = epoch_;
    references_[i] = pool_->references(block);
  }
  return references_[i];
}

int32_t BlockScratch::references_now(int32_t block) const {
  const auto i = static_cast<size_t>(block);
  return block_epoch_[i] == epoch_ ? references_[i] : pool_->references(block);
}

int32_t BlockScratch::length(int32_t row) const {
  const RowState& state = rows_[static_cast<size_t>(row)];
  return state.epoch == epoch_ ? state.length : static_cast<int32_t>(pool_->row_blocks(row).size());
}

// RETURNS: -1 for a block that the plan took.
int32_t BlockScratch::block_at(const RowState& state, int32_t row, int32_t index) const {
  if (index >= state.length - state.fresh) return -1;
  if (state.adopted_begin >= 0) return ids_[static_cast<size_t>(state.adopted_begin + index)];
  return pool_->row_blocks(row)[static_cast<size_t>(index)];
}

int32_t BlockScratch::idle_among(std::span<const int32_t> blocks) const {
  int32_t count = 0;
  for (const int32_t block : blocks) count += references_now(block) == 0;
  return count;
}

bool BlockScratch::is_shared(int32_t row, int32_t index) const {
  const RowState& state = const_cast<BlockScratch*>(this)->row(row);
  const int32_t block = block_at(state, row, index);
  return block >= 0 && references_now(block) > 1;
}

void BlockScratch::take(int32_t blocks) {
  const int32_t from_free = std::min(blocks, free_);
  free_ -= from_free;
  evictable_ -= blocks - from_free;
}

void BlockScratch::hold(int32_t block) {
  if (references(block)++ == 0) --evictable_;
}

void BlockScratch::let_go(int32_t block) {
  if (--references(block) > 0) return;
  ++(pool_->is_kept(block) ? evictable_ : free_);
}

bool BlockScratch::adopt(int32_t row_index, std::span<const int32_t> blocks) {
  RowState& state = row(row_index);
  WEIR_CHECK(state.length == 0 && state.adopted_begin < 0);
  if (!can_remember(blocks.size())) return false;
  state.adopted_begin = static_cast<int32_t>(ids_.size());
  state.adopted_count = state.length = static_cast<int32_t>(blocks.size());
  adopted_.push_back({row_index, state.adopted_begin, state.adopted_count});
  for (const int32_t block : blocks) {
    ids_.push_back(block);
    hold(block);
  }
  return true;
}

Grow BlockScratch::grow(int32_t row_index, int64_t to_tokens) {
  RowState& state = row(row_index);
  const int64_t want = pool_->blocks_for(to_tokens);
  if (want > pool_->options().blocks_per_sequence_max) return Grow::kRowFull;
  const int64_t more = want - state.length;
  if (more <= 0) return Grow::kOk;
  if (more > obtainable_blocks()) return Grow::kPoolEmpty;
  take(static_cast<int32_t>(more));
  state.length += static_cast<int32_t>(more);
  state.fresh += static_cast<int32_t>(more);
  grown_.push_back({row_index, to_tokens});
  return Grow::kOk;
}

bool BlockScratch::make_writable(int32_t row_index, int32_t index) {
  if (!is_shared(row_index, index)) return true;
  if (obtainable_blocks() < 1) return false;
  take(1);
  const int32_t block = block_at(row(row_index), row_index, index);
  --references(block);  // others hold it still
  writable_.push_back({row_index, index});
  return true;
}

void BlockScratch::release(int32_t row_index) {
  RowState& state = row(row_index);
  WEIR_CHECK_MSG(state.fresh == 0 && state.adopted_begin < 0, "a row that this plan gave blocks to is not released by it");
  for (const int32_t block : pool_->row_blocks(row_index)) let_go(block);
  state.length = 0;
  released_.push_back(row_index);
}

// Shared blocks are held first, so that nothing that comes later can evict them; then what gives blocks back, then
// what takes them.
void BlockScratch::commit(BlockCopies* copies) {
  for (const Adopted& adopted : adopted_) {
    pool_->adopt(adopted.row, std::span<const int32_t>(ids_).subspan(static_cast<size_t>(adopted.begin),
                                                                     static_cast<size_t>(adopted.count)));
  }
  for (const int32_t row : released_) pool_->release(row);
  for (const Cell& cell : writable_) {
    const auto copy = pool_->make_writable(cell.row, cell.index);
    if (copy) copies->push_back(*copy);
  }
  for (const Growth& growth : grown_) WEIR_CHECK(pool_->grow(growth.row, growth.to_tokens) == Grow::kOk);
  // The sum is what was planned. How it is split may differ: here everything was given back before anything was taken,
  // so that less had to be evicted than the plan, which asked in the order of the sequences, had thought.
  WEIR_CHECK(pool_->free_blocks() + pool_->evictable_blocks() == obtainable_blocks());
}

}  // namespace weir
