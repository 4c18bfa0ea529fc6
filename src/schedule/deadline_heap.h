// DeadlineHeap: the slot whose time is up first.
//
// A binary heap of slots with their places in it, so that a slot can be moved or removed in O(log slots). Owner and
// thread: the engine. Sized by the constructor; no allocation afterwards.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/counting_resource.h"
#include "message/gateway.h"

namespace weir {

class DeadlineHeap {
 public:
  explicit DeadlineHeap(int slots, std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : heap_(static_cast<size_t>(slots), memory), at_(static_cast<size_t>(slots), -1, memory), when_(static_cast<size_t>(slots), 0, memory) {}
  static uint64_t bytes(int slots) {
    const auto n = static_cast<uint64_t>(slots);
    return arena_bytes(n * sizeof(SlotIndex)) + arena_bytes(n * sizeof(int32_t)) + arena_bytes(n * sizeof(Micros));
  }

  bool empty() const { return size_ == 0; }
  SlotIndex first() const { return heap_[0]; }  // REQUIRES: !empty()
  Micros first_at() const { return when_[static_cast<size_t>(heap_[0])]; }

  // Sets or moves the slot's time; kNever takes it out.
  static constexpr Micros kNever = INT64_MAX;
  void set(SlotIndex slot, Micros when) {
    int32_t& at = at_[static_cast<size_t>(slot)];
    if (when == kNever) {
      if (at >= 0) erase(slot);
      return;
    }
    when_[static_cast<size_t>(slot)] = when;
    if (at < 0) {
      at = size_;
      heap_[static_cast<size_t>(size_++)] = slot;
    }
    settle(at);
  }
  bool holds(SlotIndex slot) const { return at_[static_cast<size_t>(slot)] >= 0; }

 private:
  bool before(SlotIndex a, SlotIndex b) const { return when_[static_cast<size_t>(a)] < when_[static_cast<size_t>(b)]; }
  void put(int32_t i, SlotIndex slot) {
    heap_[static_cast<size_t>(i)] = slot;
    at_[static_cast<size_t>(slot)] = i;
  }
  void erase(SlotIndex slot) {
    const int32_t hole = at_[static_cast<size_t>(slot)];
    at_[static_cast<size_t>(slot)] = -1;
    const SlotIndex last = heap_[static_cast<size_t>(--size_)];
    if (last == slot) return;
    put(hole, last);
    settle(hole);
  }
  void settle(int32_t i) {
    const SlotIndex slot = heap_[static_cast<size_t>(i)];
    for (; i > 0 && before(slot, heap_[static_cast<size_t>((i - 1) / 2)]); i = (i - 1) / 2) put(i, heap_[static_cast<size_t>((i - 1) / 2)]);
    for (int32_t child = 2 * i + 1; child < size_; child = 2 * i + 1) {
      if (child + 1 < size_ && before(heap_[static_cast<size_t>(child) + 1], heap_[static_cast<size_t>(child)])) ++child;
      if (!before(heap_[static_cast<size_t>(child)], slot)) break;
      put(i, heap_[static_cast<size_t>(child)]);
      i = child;
    }
    put(i, slot);
  }

  std::pmr::vector<SlotIndex> heap_;
  std::pmr::vector<int32_t> at_;   // by slot; -1: not there
  std::pmr::vector<Micros> when_;  // by slot
  int32_t size_ = 0;
};

}  // namespace weir
