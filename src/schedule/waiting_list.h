// WaitingList: first come first served, with removal from the middle in constant time.
//
// Owner: engine thread. Links live in two arrays indexed by slot, sized once; no allocation afterwards.
#pragma once

#include <memory_resource>
#include <vector>

#include "base/check.h"
#include "message/gateway.h"

namespace weir {

class WaitingList {
 public:
  static constexpr SlotIndex kNone = -1;
  explicit WaitingList(int slots, std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : next_(static_cast<size_t>(slots), kNone, memory), previous_(static_cast<size_t>(slots), kNone, memory) {}

  SlotIndex front() const { return front_; }
  SlotIndex after(SlotIndex slot) const { return next_[static_cast<size_t>(slot)]; }
  int count() const { return count_; }
  bool empty() const { return count_ == 0; }

  void push_back(SlotIndex slot) { insert_between(back_, slot, kNone); }
  void push_front(SlotIndex slot) { insert_between(kNone, slot, front_); }  // a preempted one keeps its age

  void remove(SlotIndex slot) {
    const auto i = static_cast<size_t>(slot);
    (previous_[i] == kNone ? front_ : next_[static_cast<size_t>(previous_[i])]) = next_[i];
    (next_[i] == kNone ? back_ : previous_[static_cast<size_t>(next_[i])]) = previous_[i];
    next_[i] = previous_[i] = kNone;
    --count_;
    WEIR_CHECK(count_ >= 0);
  }

 private:
  void insert_between(SlotIndex before, SlotIndex slot, SlotIndex after) {
    const auto i = static_cast<size_t>(slot);
    previous_[i] = before;
    next_[i] = after;
    (before == kNone ? front_ : next_[static_cast<size_t>(before)]) = slot;
    (after == kNone ? back_ : previous_[static_cast<size_t>(after)]) = slot;
    ++count_;
  }

  std::pmr::vector<SlotIndex> next_, previous_;
  SlotIndex front_ = kNone, back_ = kNone;
  int count_ = 0;
};

}  // namespace weir
