// LivePool: gives the KV pool another size while requests run.
//
// Two sizes matter: what the operator ordered, and, while the machine is short of memory ("squeezed"), what lives
// in the pool plus one block per place, and at least one sequence of full length. Shrinking happens in one turn:
// evict, preempt, move, return the pages. Growing touches new pages, at most kGrowBytesPerTurn of them between two
// steps, so that no step waits long. Where the machine does not give them, the next try is kGrowAgainUs later.
// Owner and thread: the engine. Nothing allocates after construction.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/log_throttle.h"
#include "engine/executor.h"
#include "memory/blocks/block_pool.h"
#include "message/gateway.h"
#include "schedule/scheduler.h"

namespace weir {

class LivePool {
 public:
  static constexpr uint64_t kGrowBytesPerTurn = 64ull << 20;
  static constexpr Micros kGrowAgainUs = 1'000'000;
  static constexpr Micros kLogEveryUs = 60'000'000;  // of each of its failures

  LivePool(BlockPool* pool, Scheduler* scheduler, Executor* executor, Gateway* gateway,
           std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(const BlockPoolOptions& options);  // for the plan

  // Between two steps. RETURNS: whether there is more to do in the next turn.
  bool apply(Micros now);

 private:
  void take_orders(Micros now);
  int32_t wanted() const;
  PoolAnswer shrink_to(int32_t blocks, Micros now);
  PoolAnswer grow_towards(int32_t blocks, Micros now);

  BlockPool* const pool_;
  Scheduler* const scheduler_;
  Executor* const executor_;
  Gateway* const gateway_;
  BlockCopies copies_;             // [blocks_max]
  int32_t ordered_;                // the operator's size
  int32_t ordered_before_ = 0;     // the last one that was not refused
  uint32_t order_ = 0;             // its number; answered when reached
  bool answered_ = true;
  bool squeezed_ = false;
  uint32_t drops_seen_ = 0;
  Micros grow_at_ = 0;  // not before; after a failure
  LogThrottle grow_log_{kLogEveryUs}, shrink_log_{kLogEveryUs};
};

}  // namespace weir
