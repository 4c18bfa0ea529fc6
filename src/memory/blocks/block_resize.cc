// BlockPool::resize(): growing adds ids at the end; shrinking empties the end.
#include <algorithm>

#include "base/check.h"
#include "memory/blocks/block_pool.h"

namespace weir {

void BlockPool::resize(int32_t blocks, BlockCopies* copies) {
  WEIR_CHECK(blocks >= 1 && blocks <= options_.blocks_max && live_ <= blocks);
  if (blocks > total_) {
    // Below what is free now, so that low ids go out first and a later shrink has less to move.
    const auto grown = static_cast<size_t>(blocks - total_);
    free_.insert(free_.begin(), grown, 0);
    for (size_t i = 0; i < grown; ++i) free_[i] = blocks - 1 - static_cast<int32_t>(i);
  } else {
    while (live_ + evictable_ > blocks) evict_one();
    keep_free_below(blocks);
    move_beyond(blocks, copies);
  }
  total_ = blocks;
  publish_counts();
}

void BlockPool::keep_free_below(int32_t blocks) {
  free_.erase(std::remove_if(free_.begin(), free_.end(), [blocks](int32_t block) { return block >= blocks; }), free_.end());
}

void BlockPool::move_beyond(int32_t blocks, BlockCopies* copies) {
  for (int32_t from = blocks; from < total_; ++from) {
    const auto i = static_cast<size_t>(from);
    if (references_[i] == 0 && !kept_[i]) continue;
    const int32_t to = free_.back();
    free_.pop_back();
    copies->push_back({from, to});
    moved_to_[i] = to;
    std::swap(references_[i], references_[static_cast<size_t>(to)]);
    if (kept_[i]) keeper_->on_moved(from, to);
    std::swap(kept_[i], kept_[static_cast<size_t>(to)]);
  }
  for (int32_t row = 0; row < options_.sequences_max; ++row) {
    for (int32_t cell = 0; cell < lengths_[static_cast<size_t>(row)]; ++cell) {
      int32_t& block = row_at(row)[cell];
      if (block >= blocks) block = moved_to_[static_cast<size_t>(block)];
    }
  }
}

}  // namespace weir
