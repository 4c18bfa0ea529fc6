// World: faults begin and end.
#include <algorithm>

#include "sim/world.h"

namespace weir::sim {

void World::begin_fault(int32_t index) {
  const ServerFault& fault = options_.faults[static_cast<size_t>(index)];
  Controls& controls = gateway_.controls();
  ++outcome_.faults;
  note(EventKind::kFault, static_cast<int64_t>(fault.kind), fault.amount);
  woken_ = true;
  switch (fault.kind) {
    case FaultKind::kSqueeze:
      ++squeezes_;
      memory_was_short_ = true;
      controls.squeeze.store(true);
      break;
    case FaultKind::kHalveWork:
      ++halvings_;
      controls.halve_work.store(true);
      break;
    case FaultKind::kRefuseNew:
      ++refusals_on_;
      door_.refuse_for_memory(true);
      break;
    case FaultKind::kResizePool: {
      FrontDoorOptions door = door_.options();
      door.pool_tokens = fault.amount * shape_.block_tokens;
      door_.set_options(door);
      controls.order_pool(static_cast<uint32_t>(fault.amount));
      return;
    }
    case FaultKind::kLimitRunning: {
      FrontDoorOptions door = door_.options();
      door.running_max = static_cast<int>(fault.amount);
      door_.set_options(door);
      controls.running_limit.store(static_cast<int32_t>(fault.amount));
      return;
    }
    case FaultKind::kDropCaches:
      controls.drop_caches.fetch_add(1);
      return;
    case FaultKind::kCancelNewest:
      memory_was_short_ = true;
      controls.cancel_newest.fetch_add(1);
      return;
    case FaultKind::kStall:
      stall_us_ += fault.amount;
      return;
    case FaultKind::kFailStep:
      fail_step_ = true;
      return;
    case FaultKind::kFailRow:
      fail_row_ = true;
      return;
    case FaultKind::kClockForward:
      clock_skew_us_ += fault.amount;
      return;
    case FaultKind::kClockBack:
      clock_skew_us_ -= fault.amount;
      return;
    case FaultKind::kShutdown:
      door_.start_draining();
      break;
    case FaultKind::kCount:
      return;
  }
  at(now_ + fault.amount, EventKind::kFaultEnd, index);
}

void World::end_fault(int32_t index) {
  const ServerFault& fault = options_.faults[static_cast<size_t>(index)];
  note(EventKind::kFaultEnd, static_cast<int64_t>(fault.kind));
  woken_ = true;
  if (fault.kind == FaultKind::kSqueeze) gateway_.controls().squeeze.store(--squeezes_ > 0);
  if (fault.kind == FaultKind::kHalveWork) gateway_.controls().halve_work.store(--halvings_ > 0);
  if (fault.kind == FaultKind::kRefuseNew) door_.refuse_for_memory(--refusals_on_ > 0);
  if (fault.kind == FaultKind::kShutdown) shut_down_ = shutdown_due_ = true;
}

}  // namespace weir::sim
