// StopWord: tells whoever computes a step that nobody waits for its result any more.
//
// Steps are numbered from 1 upwards, so a word that comes late never stops a later step. begin() is for the thread that
// computes; the others may be called by any thread. Relaxed atomics: whoever computes looks again soon, and what it
// leaves undone is computed again. It never waits and never ends anything by itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace weir {

class StopWord {
 public:
  static constexpr uint64_t kEverything = std::numeric_limits<uint64_t>::max();

  void begin(uint64_t step) { current_.store(step, std::memory_order_relaxed); }
  // Of this step and all before it; kEverything: of all that will ever be.
  void say(uint64_t step) {
    uint64_t before = said_.load(std::memory_order_relaxed);
    while (before < step && !said_.compare_exchange_weak(before, step, std::memory_order_relaxed)) {
    }
  }
  bool said() const { return said_.load(std::memory_order_relaxed) >= current_.load(std::memory_order_relaxed); }
  bool said_of_everything() const { return said_.load(std::memory_order_relaxed) == kEverything; }

 private:
  std::atomic<uint64_t> current_{1}, said_{0};
};

}  // namespace weir
