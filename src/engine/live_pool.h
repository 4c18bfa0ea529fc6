// LivePool: gives the KV pool another size while requests run.
//
// Two sizes matter: what the operator ordered, and, while the machine is short of memory ("squeezed"), what lives in
// the pool plus one block per place, and at least one sequence of full length. Shrinking happens in one turn: evict,
// preempt, move, return the pages. Growing touches new pages, at most kGrowBytesPerTurn of them between two steps, so
// that no step waits long.
// Owner and thread: the engine. Nothing allocates after construction.
#pragma once

#include <vector>

#include "engine/executor.h"
#include "memory/blocks/block_pool.h"
#include "message/gateway.h"
#include "schedule/scheduler.h"

namespace weir {

class LivePool {
 public:
  static constexpr uint64_t kGrowBytesPerTurn = 64ull << 20;

  LivePool(BlockPool* pool, Scheduler* scheduler, Executor* executor, Gateway* gateway,
           std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(const BlockPoolOptions& options);  // for the plan

  // Between two steps. RETURNS: whether there is more to do in the next turn.
  bool apply();

 private:
  void take_orders();
  int32_t wanted() const;
  PoolAnswer shrink_to(int32_t blocks);
  PoolAnswer grow_towards(int32_t blocks);

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
};

}  // namespace weir
