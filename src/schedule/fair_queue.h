// FairQueue: who waits, and in which order they are to start.
//
// Classes first, highest first. Within a class the tenant with the smallest virtual token counter, and of a tenant the
// oldest. The counters are those of VTC (Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024): a tenant
// that comes to an empty queue of its own is lifted to the smallest counter of those who wait, so that idling saves
// nothing up; service is charged divided by the tenant's weight. Who has waited for `ageing` in a class is lifted into
// the next higher one, so that no class starves.
//
// Owner and thread: the engine. Everything lies in arrays sized by the constructor; no allocation afterwards. Costs are
// O(log tenants) for each of push, remove, charge, and each step of a round.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <vector>

#include "base/clock.h"
#include "message/gateway.h"

namespace weir {

class FairQueue {
 public:
  static constexpr SlotIndex kNone = -1;

  // slots: as the Gateway's; classes: [1, kClassesMax]; tenants: [1, kTenantsMax].
  FairQueue(int slots, int classes, int tenants, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(int slots, int classes, int tenants);

  struct Item {
    int32_t class_index = 0, tenant = 0;
    uint64_t age = 0;       // smaller is older; unique. What was preempted comes back with the age it had
    Micros since = 0;       // when it joined this class
  };
  void push(SlotIndex slot, const Item& item);
  void remove(SlotIndex slot);  // REQUIRES: it waits, and no round is under way
  // Service given: tokens over weight. The counter of its class moves, whether it waits there or not.
  void charge(int class_index, int tenant, double cost);
  // Moves everybody who has waited for `ageing` in a class below the highest one up. RETURNS: how many. The counters
  // follow the rule of an arrival.
  int lift(Micros now, Micros ageing);

  // ---- A round: goes through those who wait, in order ----
  void begin_round();
  SlotIndex next();         // the best that was not passed yet; kNone: no more
  void take(double cost);   // the one that next() gave starts: it is removed, its tenant charged
  void pass(double cost = 0);  // it does not; cost is charged for the rest of this round alone
  void pass_tenant();       // neither it nor anybody of its tenant in this class
  void end_round();

  int count() const { return count_; }
  int count_of(int class_index) const { return counts_[static_cast<size_t>(class_index)]; }
  bool empty() const { return count_ == 0; }
  const Item& item(SlotIndex slot) const { return items_[static_cast<size_t>(slot)]; }
  double counter(int class_index, int tenant) const { return at(class_index, tenant).counter; }
  SlotIndex any() const;    // some waiting slot; kNone when empty
  void check_everything() const;  // CHECKs its invariants; O(slots + classes x tenants)

 private:
  struct Links {
    SlotIndex next = kNone, previous = kNone;            // of its tenant in its class, oldest first
    SlotIndex class_next = kNone, class_previous = kNone;  // of its class, by `since`
  };
  struct Line {  // those of one tenant in one class
    double counter = 0, extra = 0;  // extra: of this round
    SlotIndex front = kNone, back = kNone, cursor = kNone;
    int32_t heap_at = -1;           // in its class's heap; -1: not there
    bool touched = false;           // by this round
  };
  struct ClassOrder {
    SlotIndex front = kNone, back = kNone;  // by `since`
    int32_t heap_size = 0;
    double last_counter = 0;                // of the tenant whose queue became empty last
  };

  size_t index(int class_index, int tenant) const {
    return static_cast<size_t>(class_index) * static_cast<size_t>(tenants_) + static_cast<size_t>(tenant);
  }
  Line& at(int class_index, int tenant) { return lines_[index(class_index, tenant)]; }
  const Line& at(int class_index, int tenant) const { return lines_[index(class_index, tenant)]; }
  int32_t& heap(int class_index, int32_t i) { return heaps_[index(class_index, i)]; }
  int32_t heap(int class_index, int32_t i) const { return heaps_[index(class_index, i)]; }

  void link(SlotIndex slot);
  void unlink(SlotIndex slot);
  void join(int class_index, int tenant);   // its line has got somebody: the arrival's rule
  bool before(int class_index, int32_t tenant, int32_t other) const;
  void heap_push(int class_index, int32_t tenant);
  void heap_erase(int class_index, int32_t tenant);
  void heap_fix(int class_index, int32_t at);
  void touch(int class_index, int tenant);
  void advance(int class_index, int tenant);

  const int tenants_, classes_;
  std::pmr::vector<Item> items_;    // [slots]
  std::pmr::vector<Links> links_;   // [slots]
  std::pmr::vector<char> waits_;    // [slots]
  std::pmr::vector<Line> lines_;    // [classes][tenants]
  std::pmr::vector<int32_t> heaps_; // [classes][tenants] tenants with somebody to offer, smallest counter first
  std::pmr::vector<int32_t> touched_;  // [classes x tenants] lines whose cursor or extra this round moved
  ClassOrder orders_[kClassesMax];
  int counts_[kClassesMax] = {};
  int count_ = 0;
  int round_class_ = 0;
  bool in_round_ = false;
  SlotIndex offered_ = kNone;
};

}  // namespace weir
