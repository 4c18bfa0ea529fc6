// Scheduler: what an operator or the memory governor changes while it runs.
#include <algorithm>

#include "base/check.h"
#include "schedule/scheduler.h"

namespace weir {

void Scheduler::set_running_limit(int places) {
  WEIR_CHECK(places >= 1 && places <= options_.running_max);
  running_limit_ = places;
}

void Scheduler::set_step_tokens_limit(int tokens) {
  step_tokens_limit_ = std::clamp(tokens, options_.running_max, options_.step_tokens_max);
}

bool Scheduler::resize_pool(int32_t blocks, BlockCopies* copies) {
  int64_t guaranteed = 0;
  for (const SlotIndex slot : running_) {
    if (at(slot).spec->guaranteed) guaranteed += static_cast<int64_t>(table(at(slot)).blocks().size());
  }
  if (guaranteed > blocks) return false;
  while (pool_->live_blocks() > blocks) {
    const auto newest = std::find_if(running_.rbegin(), running_.rend(), [this](SlotIndex slot) {
      return !at(slot).spec->guaranteed;
    });
    WEIR_CHECK(newest != running_.rend());
    const SlotIndex slot = *newest;
    table(at(slot)).release();
    preempt(slot, now_);
  }
  const size_t moves_before = copies->size();
  pool_->resize(blocks, copies);
  gateway_->load().block_copies.fetch_add(copies->size() - moves_before, std::memory_order_relaxed);
  gateway_->load().pool_resizes.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Scheduler::cancel_newest(Micros now) {
  if (running_.empty()) return false;
  finish(running_.back(), FinishReason::kMemoryPressure, now);
  return true;
}

}  // namespace weir
