// FairQueue and DeadlineHeap: the order against a naive model, and the rules one by one.
#include "schedule/fair_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/counting_resource.h"
#include "schedule/deadline_heap.h"

namespace weir {
namespace {

std::vector<SlotIndex> order_of(FairQueue* queue, double cost = 0) {
  std::vector<SlotIndex> order;
  queue->begin_round();
  for (SlotIndex slot = queue->next(); slot != FairQueue::kNone; slot = queue->next()) {
    order.push_back(slot);
    queue->pass(cost);
  }
  queue->end_round();
  queue->check_everything();
  return order;
}

TEST(FairQueue, ClassThenCounterThenAge) {
  FairQueue queue(8, 3, 4);
  queue.push(0, {2, 0, 1, 0});
  queue.push(1, {1, 1, 2, 0});
  queue.push(2, {1, 0, 3, 0});
  queue.push(3, {1, 1, 4, 0});
  queue.push(4, {0, 2, 5, 0});
  EXPECT_EQ(order_of(&queue), (std::vector<SlotIndex>{4, 2, 1, 3, 0}));
  queue.charge(1, 0, 10);
  EXPECT_EQ(order_of(&queue), (std::vector<SlotIndex>{4, 1, 3, 2, 0}));
  EXPECT_EQ(order_of(&queue, 6), (std::vector<SlotIndex>{4, 1, 3, 2, 0})) << "12 of the second is more than 10";
  EXPECT_EQ(queue.count(), 5);
}

TEST(FairQueue, WhatARoundChargesForItselfIsForgotten) {
  FairQueue queue(4, 1, 2);
  queue.push(0, {0, 0, 1, 0});
  queue.push(1, {0, 0, 2, 0});
  queue.push(2, {0, 1, 3, 0});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(order_of(&queue, 5), (std::vector<SlotIndex>{0, 2, 1}));
  EXPECT_EQ(queue.counter(0, 0), 0);
}

TEST(FairQueue, WhoComesLateIsLiftedAndSavesNothingUp) {
  FairQueue queue(4, 1, 3);
  queue.push(0, {0, 0, 1, 0});
  queue.charge(0, 0, 100);
  queue.push(1, {0, 1, 2, 0});
  EXPECT_EQ(queue.counter(0, 1), 100) << "lifted to the smallest of those who wait";
  queue.charge(0, 1, 7);
  queue.remove(0);
  queue.remove(1);
  queue.push(2, {0, 2, 3, 0});
  EXPECT_EQ(queue.counter(0, 2), 107) << "nobody waits: as the one that left last";
}

TEST(FairQueue, PreemptedOnesComeBackWhereTheyWere) {
  FairQueue queue(5, 1, 1);
  for (SlotIndex slot = 0; slot < 4; ++slot) queue.push(slot, {0, 0, static_cast<uint64_t>(slot) + 1, 100 + slot});
  queue.remove(1);
  queue.push(1, {0, 0, 2, 90});
  EXPECT_EQ(order_of(&queue), (std::vector<SlotIndex>{0, 1, 2, 3}));
}

TEST(FairQueue, AgeingLiftsOneClassAtATime) {
  FairQueue queue(3, 3, 2);
  queue.push(0, {2, 0, 1, 0});
  queue.push(1, {1, 1, 2, 50});
  EXPECT_EQ(queue.lift(99, 100), 0);
  EXPECT_EQ(queue.lift(100, 100), 1);
  EXPECT_EQ(queue.item(0).class_index, 1);
  EXPECT_EQ(queue.lift(150, 100), 1);
  EXPECT_EQ(queue.item(1).class_index, 0);
  EXPECT_EQ(queue.lift(1000, 100), 1);
  EXPECT_EQ(queue.item(0).class_index, 0);
  EXPECT_EQ(queue.lift(9000, 100), 0) << "nothing is above the highest";
  queue.check_everything();
}

TEST(FairQueue, ATenantThatIsPassedOffersNobodyElse) {
  FairQueue queue(4, 1, 2);
  queue.push(0, {0, 0, 1, 0});
  queue.push(1, {0, 0, 2, 0});
  queue.push(2, {0, 1, 3, 0});
  queue.begin_round();
  EXPECT_EQ(queue.next(), 0);
  queue.pass_tenant();
  EXPECT_EQ(queue.next(), 2);
  queue.take(3);
  EXPECT_EQ(queue.next(), FairQueue::kNone);
  queue.end_round();
  queue.check_everything();
  EXPECT_EQ(order_of(&queue), (std::vector<SlotIndex>{0, 1}));
}

// A list that is searched anew for every question.
struct Naive {
  struct One {
    FairQueue::Item item;
  };
  std::map<SlotIndex, FairQueue::Item> waiting;
  std::map<std::pair<int, int>, double> counters;
  std::map<int, double> last;

  bool has(int c, int t) const {
    return std::any_of(waiting.begin(), waiting.end(), [&](const auto& w) { return w.second.class_index == c && w.second.tenant == t; });
  }
  void push(SlotIndex slot, FairQueue::Item item) {
    if (!has(item.class_index, item.tenant)) {
      double least = -1;
      for (const auto& [s, w] : waiting) {
        const double c = counters[{w.class_index, w.tenant}];
        if (w.class_index == item.class_index && (least < 0 || c < least)) least = c;
      }
      double& own = counters[{item.class_index, item.tenant}];
      own = std::max(own, least < 0 ? last[item.class_index] : least);
    }
    waiting[slot] = item;
  }
  void remove(SlotIndex slot) {
    const FairQueue::Item item = waiting.at(slot);
    waiting.erase(slot);
    if (!has(item.class_index, item.tenant)) last[item.class_index] = counters[{item.class_index, item.tenant}];
  }
  SlotIndex best() {
    SlotIndex found = FairQueue::kNone;
    auto key = [&](SlotIndex s) {
      const FairQueue::Item& w = waiting.at(s);
      return std::make_tuple(w.class_index, counters[{w.class_index, w.tenant}], w.tenant, w.age);
    };
    for (const auto& [slot, w] : waiting) {
      if (found == FairQueue::kNone || key(slot) < key(found)) found = slot;
    }
    return found;
  }
};

TEST(FairQueue, AgreesWithANaiveOne) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    FairQueue queue(24, 3, 6);
    Naive naive;
    uint64_t age = 0;
    for (int step = 0; step < 400; ++step) {
      const SlotIndex slot = static_cast<SlotIndex>(random() % 24);
      const bool waits = naive.waiting.count(slot) != 0;
      switch (random() % 4) {
        case 0:
        case 1:
          if (waits) break;
          {
            const FairQueue::Item item{static_cast<int32_t>(random() % 3), static_cast<int32_t>(random() % 6), ++age, step};
            queue.push(slot, item);
            naive.push(slot, item);
          }
          break;
        case 2:
          if (!waits) break;
          queue.remove(slot);
          naive.remove(slot);
          break;
        case 3: {
          const int c = static_cast<int>(random() % 3), t = static_cast<int>(random() % 6);
          const double cost = static_cast<double>(random() % 50);
          queue.charge(c, t, cost);
          naive.counters[{c, t}] += cost;
        }
      }
      queue.begin_round();
      const SlotIndex first = queue.next();
      ASSERT_EQ(first, naive.best()) << "seed " << seed << " step " << step;
      if (first != FairQueue::kNone && random() % 8 == 0) {
        const FairQueue::Item item = queue.item(first);
        queue.take(9);
        naive.counters[{item.class_index, item.tenant}] += 9;
        naive.remove(first);
      }
      queue.end_round();
      queue.check_everything();
      ASSERT_EQ(order_of(&queue, 3).size(), naive.waiting.size());
    }
  }
}

TEST(FairQueue, TakesWhatThePlanSays) {
  CountingResource counting;
  const FairQueue queue(100, 3, 50, &counting);
  EXPECT_EQ(counting.bytes(), FairQueue::bytes(100, 3, 50));
  CountingResource more;
  const DeadlineHeap heap(100, &more);
  EXPECT_EQ(more.bytes(), DeadlineHeap::bytes(100));
}

TEST(DeadlineHeap, GivesTheFirstOfThoseThatAreSet) {
  std::mt19937 random(5);
  DeadlineHeap heap(32);
  std::map<SlotIndex, Micros> set;
  for (int step = 0; step < 5000; ++step) {
    const SlotIndex slot = static_cast<SlotIndex>(random() % 32);
    if (random() % 3 == 0) {
      heap.set(slot, DeadlineHeap::kNever);
      set.erase(slot);
    } else {
      set[slot] = static_cast<Micros>(random() % 1000);
      heap.set(slot, set[slot]);
    }
    ASSERT_EQ(heap.empty(), set.empty());
    ASSERT_EQ(heap.holds(slot), set.count(slot) == 1);
    if (set.empty()) continue;
    const auto least = std::min_element(set.begin(), set.end(), [](auto& a, auto& b) { return a.second < b.second; });
    ASSERT_EQ(heap.first_at(), least->second);
    ASSERT_EQ(set.at(heap.first()), least->second);
  }
}

}  // namespace
}  // namespace weir
