// Controls: what the operator (PATCH /admin/limits) and the memory governor ask of the engine while it runs.
//
// Any thread writes, then calls Gateway::poke(); the engine looks at them once per turn, between two steps. Values
// are checked by who writes them. The size of the pool has an answer, because it can be refused.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

enum class PoolAnswer : uint32_t {
  kPending,         // not reached yet: growing takes several turns
  kDone,
  kGuaranteed,      // sequences with a guarantee hold more
  kNoMemory,        // the machine did not give the pages; the pool has what it could get
};

struct Controls {
  std::atomic<int32_t> running_limit{0};      // places; 0: as built
  std::atomic<int32_t> step_tokens_limit{0};  // tokens of a step; 0: as built
  std::atomic<int32_t> adaptive_limit{0};     // places, of the adaptive limit; the smaller of both counts; 0: none
  // The brown-out ladder: tokens of prefill in one step, and of an answer of the background class; 0: as configured.
  std::atomic<int32_t> prefill_tokens_limit{0}, background_tokens_max{0};
  // And: background work does not start while anybody else runs or waits, however old it is.
  std::atomic<bool> hold_background{false};
  std::atomic<bool> halve_work{false};        // half the places and half the tokens of a step, whatever the limits are
  std::atomic<bool> hold_growth{false};       // the pool takes no more memory
  // The machine is short of memory: the pool shrinks to what lives in it and grows back when this is taken away.
  std::atomic<bool> squeeze{false};
  std::atomic<uint32_t> drop_caches{0};    // orders so far: forget every prefix that nobody holds
  std::atomic<uint32_t> cancel_newest{0};  // orders so far: each ends one running sequence

  // The size that the pool should have. One order at a time; the caller keeps others out.
  // RETURNS: the number of the order.
  uint32_t order_pool(uint32_t blocks) {
    const uint32_t number = static_cast<uint32_t>(pool_order_.load(std::memory_order_relaxed) >> 32) + 1;
    pool_order_.store(uint64_t{number} << 32 | blocks, std::memory_order_release);
    return number;
  }
  PoolAnswer pool_answer(uint32_t number) const {
    const uint64_t answer = pool_answer_.load(std::memory_order_acquire);
    return answer >> 32 == number ? static_cast<PoolAnswer>(static_cast<uint32_t>(answer)) : PoolAnswer::kPending;
  }

  // Engine thread.
  struct PoolOrder {
    uint32_t number = 0, blocks = 0;  // number 0: none yet
  };
  PoolOrder pool_order() const {
    const uint64_t order = pool_order_.load(std::memory_order_acquire);
    return {static_cast<uint32_t>(order >> 32), static_cast<uint32_t>(order)};
  }
  void answer_pool(uint32_t number, PoolAnswer answer) {
    pool_answer_.store(uint64_t{number} << 32 | static_cast<uint32_t>(answer), std::memory_order_release);
  }

 private:
  std::atomic<uint64_t> pool_order_{0}, pool_answer_{0};
};

}  // namespace weir
