// LiveLimitsControl: carries out PATCH /admin/limits. Checks the new values against the plan and against what was
// built at start, asks the engine for another pool, waits for its answer, and tells the front door.
//
// Owner: App. Thread: any but the engine's; one change at a time (a mutex). A change that cannot be made whole changes
// nothing.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>

#include "admission/front_door.h"
#include "api/api.h"
#include "base/clock.h"
#include "memory/blocks/block_pool.h"
#include "message/gateway.h"
#include "server/blueprint.h"

namespace weir {

class LiveLimitsControl {
 public:
  // All outlive it.
  LiveLimitsControl(const Blueprint* blueprint, Gateway* gateway, FrontDoor* door, const BlockPool* pool, const Clock* clock);

  // Told of every plan that comes into force. Set before the first apply().
  void set_on_plan(std::function<void(const MemoryPlan&)> on_plan) { on_plan_ = std::move(on_plan); }
  // A dry run is checked like a change and asks neither the engine nor the machine, which may still refuse the
  // change.
  Result<LiveLimits> apply(const LimitsPatch& patch);
  LiveLimits now() const;
  // As GET /plan shows it: the plan of start with the pool of now.
  MemoryPlan plan() const;
  // The engine stops: what waits for it comes back with an error.
  void stop() { stopping_.store(true, std::memory_order_release); }

 private:
  Status check(const LimitsPatch& patch, FrontDoorOptions* options) const;
  LiveLimits with(const LimitsPatch& patch, const FrontDoorOptions& options, const MemoryPlan* plan) const;
  Status change_pool(MemoryPlan plan, const std::string& cache);
  Status resize(const MemoryPlan& plan);

  const Blueprint* const blueprint_;
  Gateway* const gateway_;
  FrontDoor* const door_;
  const BlockPool* const pool_;
  const Clock* const clock_;
  std::function<void(const MemoryPlan&)> on_plan_;
  std::atomic<bool> stopping_{false};
  std::mutex changing_;        // held through a whole change
  mutable std::mutex mutex_;   // of what follows
  MemoryPlan plan_;
  std::string cache_;
};

}  // namespace weir
