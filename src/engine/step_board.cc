#include "engine/step_board.h"

#include "base/counting_resource.h"

namespace weir {

StepBoard::StepBoard(int sequences_max, std::pmr::memory_resource* memory)
    : entries_(static_cast<size_t>(sequences_max), memory) {}

uint64_t StepBoard::bytes(int sequences_max) {
  return arena_bytes(static_cast<uint64_t>(sequences_max) * sizeof(Entry));
}

void StepBoard::begin(uint64_t number, Micros now, const Step& step, Gateway* gateway) {
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const StepSequence& part = step.sequences[i];
    Entry& entry = entries_[i];
    entry.request.store(gateway->channel(part.slot).spec->id, std::memory_order_relaxed);
    entry.slot.store(part.slot, std::memory_order_relaxed);
    entry.tokens.store(part.token_count, std::memory_order_relaxed);
    entry.position.store(part.position_begin, std::memory_order_relaxed);
    entry.prompt_tokens.store(static_cast<int32_t>(part.prompt.size()), std::memory_order_relaxed);
  }
  count_.store(step.sequences.size(), std::memory_order_relaxed);
  number_.store(number, std::memory_order_relaxed);
  begun_us_.store(now, std::memory_order_release);
}

// The fence keeps the stores of the next step behind the zero that tells a reader to give up.
void StepBoard::end() {
  begun_us_.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

std::optional<StepView> StepBoard::read() const {
  StepView view;
  view.begun_us = begun_us_.load(std::memory_order_acquire);
  if (view.begun_us == 0) return std::nullopt;
  view.number = number_.load(std::memory_order_relaxed);
  const size_t count = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count && i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    view.parts.push_back({.slot = entry.slot.load(std::memory_order_relaxed),
                          .request = entry.request.load(std::memory_order_relaxed),
                          .tokens = entry.tokens.load(std::memory_order_relaxed),
                          .position = entry.position.load(std::memory_order_relaxed),
                          .prompt_tokens = entry.prompt_tokens.load(std::memory_order_relaxed)});
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool moved = begun_us_.load(std::memory_order_relaxed) != view.begun_us ||
                     number_.load(std::memory_order_relaxed) != view.number;
  if (moved) return std::nullopt;
  return view;
}

}  // namespace weir
