#include "engine/live_pool.h"

#include <algorithm>

#include "base/alloc_guard.h"
#include "base/counting_resource.h"
#include "base/log.h"

namespace weir {

LivePool::LivePool(BlockPool* pool, Scheduler* scheduler, Executor* executor, Gateway* gateway,
                   std::pmr::memory_resource* memory)
    : pool_(pool),
      scheduler_(scheduler),
      executor_(executor),
      gateway_(gateway),
      copies_(memory),
      ordered_(pool->total_blocks()) {
  copies_.reserve(static_cast<size_t>(pool->options().blocks_max));
}

uint64_t LivePool::bytes(const BlockPoolOptions& options) {
  return arena_bytes(static_cast<uint64_t>(std::max(options.blocks, options.blocks_max)) * sizeof(BlockCopy));
}

void LivePool::take_orders(Micros now) {
  Controls& controls = gateway_->controls();
  const Controls::PoolOrder order = controls.pool_order();
  if (order.number != order_) {
    order_ = order.number;
    if (answered_) ordered_before_ = ordered_;
    ordered_ = static_cast<int32_t>(order.blocks);
    answered_ = false;
    grow_at_ = now;  // an operator is waiting
  }
  squeezed_ = controls.squeeze.load(std::memory_order_relaxed);
  scheduler_->set_squeezed(squeezed_ || pool_->total_blocks() < ordered_);
  const uint32_t drops = controls.drop_caches.load(std::memory_order_relaxed);
  if (drops != drops_seen_) pool_->evict_all();
  drops_seen_ = drops;
}

// Squeezed: what lives, and a block for each place to go on with; never more than what was ordered, and never less than
// the longest sequence needs: whoever was accepted can finish alone, however long the machine stays short.
int32_t LivePool::wanted() const {
  if (!squeezed_) return ordered_;
  const int32_t now = pool_->total_blocks();
  const BlockPoolOptions& options = pool_->options();
  const int32_t least = std::max(pool_->live_blocks() + scheduler_->options().running_max, options.blocks_per_sequence_max);
  // It only ever shrinks, and by steps that are worth the moving.
  const int32_t squeezed = now - least >= std::max(1, now / 8) ? least : now;
  return std::min(ordered_, squeezed);
}

bool LivePool::apply(Micros now) {
  take_orders(now);
  const int32_t target = wanted();
  PoolAnswer answer = PoolAnswer::kDone;
  if (target < pool_->total_blocks()) {
    answer = shrink_to(target, now);
  } else if (target > pool_->total_blocks()) {
    const bool held = gateway_->controls().hold_growth.load(std::memory_order_relaxed);
    if (answered_ && (held || now < grow_at_)) return false;  // grows back when the machine has memory again
    answer = held ? PoolAnswer::kNoMemory : grow_towards(target, now);
  }
  // An order that the squeeze holds back is carried out when that ends; it is accepted all the same.
  if (answer != PoolAnswer::kPending && !answered_) {
    gateway_->controls().answer_pool(order_, answer);
    answered_ = true;
    if (answer != PoolAnswer::kDone) ordered_ = ordered_before_;  // not what a squeeze has left of the pool just now
  }
  return answer == PoolAnswer::kPending;
}

PoolAnswer LivePool::shrink_to(int32_t blocks, Micros now) {
  copies_.clear();
  if (!scheduler_->resize_pool(blocks, &copies_)) return PoolAnswer::kGuaranteed;
  executor_->copy_blocks(copies_);
  const AllowAllocations for_the_message_of_a_failure;
  const Status status = executor_->resize_kv(blocks);
  if (const auto pass = status.ok() ? std::nullopt : shrink_log_.pass(now)) {
    log_error("engine", pass->after("the KV pool shrank and its pages could not be returned: " + status.message()));
  }
  return PoolAnswer::kDone;
}

PoolAnswer LivePool::grow_towards(int32_t blocks, Micros now) {
  const uint64_t bytes = std::max<uint64_t>(1, executor_->block_bytes());
  const auto most = static_cast<int32_t>(std::clamp<uint64_t>(kGrowBytesPerTurn / bytes, 1, INT32_MAX / 2));
  const int32_t next = std::min(blocks, pool_->total_blocks() + std::min(most, blocks));
  const AllowAllocations for_the_message_of_a_failure;
  if (const Status status = executor_->resize_kv(next); !status.ok()) {
    grow_at_ = now + kGrowAgainUs;
    if (const auto pass = grow_log_.pass(now))
      log_error("engine", pass->after("the KV pool could not grow: " + status.message()));
    return PoolAnswer::kNoMemory;
  }
  copies_.clear();
  scheduler_->resize_pool(next, &copies_);
  return next == blocks ? PoolAnswer::kDone : PoolAnswer::kPending;
}

}  // namespace weir
