// StepBoard: what the step under way computes, as another thread may look at it while the engine thread does not move.
//
// Owner: the engine. begin() and end() are its thread's; read() is any thread's and is the watchdog's alone in practice.
// All fields are relaxed atomics between a release and an acquire of the begin time, and a reader that was overtaken gets
// nothing, so a step costs a few stores per sequence and never a lock. Limits: one entry per sequence of a step.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "message/gateway.h"
#include "schedule/step.h"

namespace weir {

// One sequence's part of a step, as a person wants to read it.
struct StepPart {
  SlotIndex slot = 0;
  uint64_t request = 0;   // RequestSpec::id
  int32_t tokens = 0;     // computed in this step
  int32_t position = 0;   // of the first one
  int32_t prompt_tokens = 0;
  bool decodes() const { return position >= prompt_tokens; }
};

struct StepView {
  uint64_t number = 0;
  Micros begun_us = 0;
  std::vector<StepPart> parts;
};

class StepBoard {
 public:
  explicit StepBoard(int sequences_max, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(int sequences_max);  // what the constructor takes from an arena

  void begin(uint64_t number, Micros now, const Step& step, Gateway* gateway);
  void end();

  uint64_t number() const { return number_.load(std::memory_order_relaxed); }     // of the last step that began; 0: none
  Micros begun_us() const { return begun_us_.load(std::memory_order_acquire); }   // 0: between two steps
  // RETURNS: nothing between two steps, and when the engine moved on during the look.
  std::optional<StepView> read() const;

 private:
  struct Entry {
    std::atomic<uint64_t> request{0};
    std::atomic<int32_t> slot{0}, tokens{0}, position{0}, prompt_tokens{0};
  };
  std::atomic<uint64_t> number_{0};
  std::atomic<int64_t> begun_us_{0};
  std::atomic<size_t> count_{0};
  std::pmr::vector<Entry> entries_;
};

}  // namespace weir
