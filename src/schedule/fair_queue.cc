#include "schedule/fair_queue.h"

#include <algorithm>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {

FairQueue::FairQueue(int slots, int classes, int tenants, std::pmr::memory_resource* memory)
    : tenants_(tenants),
      classes_(classes),
      items_(static_cast<size_t>(slots), memory),
      links_(static_cast<size_t>(slots), memory),
      waits_(static_cast<size_t>(slots), 0, memory),
      lines_(static_cast<size_t>(classes) * static_cast<size_t>(tenants), memory),
      heaps_(static_cast<size_t>(classes) * static_cast<size_t>(tenants), memory),
      touched_(memory) {
  WEIR_CHECK(classes >= 1 && classes <= kClassesMax && tenants >= 1 && tenants <= kTenantsMax);
  touched_.reserve(lines_.size());
}

uint64_t FairQueue::bytes(int slots, int classes, int tenants) {
  const auto n = static_cast<uint64_t>(slots), lines = static_cast<uint64_t>(classes) * static_cast<uint64_t>(tenants);
  return arena_bytes(n * sizeof(Item)) + arena_bytes(n * sizeof(Links)) + arena_bytes(n) +
         arena_bytes(lines * sizeof(Line)) + 2 * arena_bytes(lines * sizeof(int32_t));
}

// ---- Lines and the order of a class ----

void FairQueue::push(SlotIndex slot, const Item& item) {
  WEIR_CHECK(!in_round_ && !waits_[static_cast<size_t>(slot)]);
  items_[static_cast<size_t>(slot)] = item;
  waits_[static_cast<size_t>(slot)] = 1;
  link(slot);
  ++count_;
}

void FairQueue::remove(SlotIndex slot) {
  WEIR_CHECK(!in_round_ && waits_[static_cast<size_t>(slot)]);
  unlink(slot);
  waits_[static_cast<size_t>(slot)] = 0;
  --count_;
}

// Both lists are nearly always appended to. What comes back or is lifted is old, and so near the front of its line.
void FairQueue::link(SlotIndex slot) {
  const Item& item = items_[static_cast<size_t>(slot)];
  Links& own = links_[static_cast<size_t>(slot)];
  Line& line = at(item.class_index, item.tenant);
  const bool was_empty = line.front == kNone;
  SlotIndex before = line.back;
  if (before != kNone && items_[static_cast<size_t>(before)].age > item.age) {
    before = kNone;
    for (SlotIndex s = line.front; items_[static_cast<size_t>(s)].age < item.age; s = links_[static_cast<size_t>(s)].next) before = s;
  }
  own.previous = before;
  own.next = before == kNone ? line.front : links_[static_cast<size_t>(before)].next;
  (own.previous == kNone ? line.front : links_[static_cast<size_t>(own.previous)].next) = slot;
  (own.next == kNone ? line.back : links_[static_cast<size_t>(own.next)].previous) = slot;

  ClassOrder& order = orders_[item.class_index];
  SlotIndex after = order.back;
  while (after != kNone && items_[static_cast<size_t>(after)].since > item.since) after = links_[static_cast<size_t>(after)].class_previous;
  own.class_previous = after;
  own.class_next = after == kNone ? order.front : links_[static_cast<size_t>(after)].class_next;
  (own.class_previous == kNone ? order.front : links_[static_cast<size_t>(own.class_previous)].class_next) = slot;
  (own.class_next == kNone ? order.back : links_[static_cast<size_t>(own.class_next)].class_previous) = slot;
  if (was_empty) join(item.class_index, item.tenant);
  ++counts_[item.class_index];
}

void FairQueue::unlink(SlotIndex slot) {
  const Item& item = items_[static_cast<size_t>(slot)];
  Links& own = links_[static_cast<size_t>(slot)];
  Line& line = at(item.class_index, item.tenant);
  ClassOrder& order = orders_[item.class_index];
  (own.previous == kNone ? line.front : links_[static_cast<size_t>(own.previous)].next) = own.next;
  (own.next == kNone ? line.back : links_[static_cast<size_t>(own.next)].previous) = own.previous;
  (own.class_previous == kNone ? order.front : links_[static_cast<size_t>(own.class_previous)].class_next) = own.class_next;
  (own.class_next == kNone ? order.back : links_[static_cast<size_t>(own.class_next)].class_previous) = own.class_previous;
  own = {};
  --counts_[item.class_index];
  if (line.front != kNone) return;
  order.last_counter = line.counter;
  if (line.heap_at >= 0) heap_erase(item.class_index, item.tenant);
}

// VTC, algorithm 2: the newcomer starts no lower than the lowest of those who wait, or than the one that left last.
void FairQueue::join(int class_index, int tenant) {
  Line& line = at(class_index, tenant);
  const ClassOrder& order = orders_[class_index];
  const double least = order.heap_size > 0 ? at(class_index, heap(class_index, 0)).counter : order.last_counter;
  line.counter = std::max(line.counter, least);
  heap_push(class_index, tenant);
}

void FairQueue::charge(int class_index, int tenant, double cost) {
  Line& line = at(class_index, tenant);
  line.counter += cost;
  if (line.heap_at >= 0) heap_fix(class_index, line.heap_at);
}

int FairQueue::lift(Micros now, Micros ageing) {
  WEIR_CHECK(!in_round_);
  int lifted = 0;
  for (int c = 1; c < classes_; ++c) {
    while (orders_[c].front != kNone) {
      const SlotIndex slot = orders_[c].front;
      if (now - items_[static_cast<size_t>(slot)].since < ageing) break;
      unlink(slot);
      Item& item = items_[static_cast<size_t>(slot)];
      item.class_index = c - 1;
      item.since = now;
      link(slot);
      ++lifted;
    }
  }
  return lifted;
}

SlotIndex FairQueue::any() const {
  for (int c = classes_; c-- > 0;) {
    if (orders_[c].back != kNone) return orders_[c].back;
  }
  return kNone;
}

// ---- A heap of tenants for each class ----

bool FairQueue::before(int class_index, int32_t tenant, int32_t other) const {
  const Line &a = at(class_index, tenant), &b = at(class_index, other);
  const double x = a.counter + a.extra, y = b.counter + b.extra;
  return x != y ? x < y : tenant < other;
}

void FairQueue::heap_push(int class_index, int32_t tenant) {
  ClassOrder& order = orders_[class_index];
  heap(class_index, order.heap_size) = tenant;
  at(class_index, tenant).heap_at = order.heap_size++;
  heap_fix(class_index, order.heap_size - 1);
}

void FairQueue::heap_erase(int class_index, int32_t tenant) {
  ClassOrder& order = orders_[class_index];
  const int32_t hole = at(class_index, tenant).heap_at;
  at(class_index, tenant).heap_at = -1;
  const int32_t last = heap(class_index, --order.heap_size);
  if (last == tenant) return;
  heap(class_index, hole) = last;
  at(class_index, last).heap_at = hole;
  heap_fix(class_index, hole);
}

// Moves the tenant at `i` up or down to where its counter belongs.
void FairQueue::heap_fix(int class_index, int32_t i) {
  const int32_t size = orders_[class_index].heap_size;
  const int32_t tenant = heap(class_index, i);
  const auto place = [&](int32_t where, int32_t who) {
    heap(class_index, where) = who;
    at(class_index, who).heap_at = where;
  };
  while (i > 0 && before(class_index, tenant, heap(class_index, (i - 1) / 2))) {
    place(i, heap(class_index, (i - 1) / 2));
    i = (i - 1) / 2;
  }
  for (;;) {
    int32_t child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && before(class_index, heap(class_index, child + 1), heap(class_index, child))) ++child;
    if (!before(class_index, heap(class_index, child), tenant)) break;
    place(i, heap(class_index, child));
    i = child;
  }
  place(i, tenant);
}

// ---- A round ----

void FairQueue::begin_round() {
  WEIR_CHECK(!in_round_);
  in_round_ = true;
  round_class_ = 0;
  offered_ = kNone;
  touched_.clear();
}

SlotIndex FairQueue::next() {
  WEIR_CHECK(in_round_);
  while (round_class_ < classes_ && orders_[round_class_].heap_size == 0) ++round_class_;
  if (round_class_ == classes_) return offered_ = kNone;
  const Line& line = at(round_class_, heap(round_class_, 0));
  return offered_ = line.touched ? line.cursor : line.front;
}

void FairQueue::touch(int class_index, int tenant) {
  Line& line = at(class_index, tenant);
  if (line.touched) return;
  line.touched = true;
  line.cursor = line.front;
  touched_.push_back(static_cast<int32_t>(index(class_index, tenant)));
}

// The line's offer has been dealt with: the next one of it, if any, stands where its counter belongs.
void FairQueue::advance(int class_index, int tenant) {
  const Line& line = at(class_index, tenant);
  if (line.heap_at < 0) return;  // it is empty
  if (line.cursor == kNone) {
    heap_erase(class_index, tenant);
  } else {
    heap_fix(class_index, line.heap_at);
  }
}

void FairQueue::take(double cost) {
  WEIR_CHECK(in_round_ && offered_ != kNone);
  const SlotIndex slot = offered_;
  const Item item = items_[static_cast<size_t>(slot)];
  touch(item.class_index, item.tenant);
  Line& line = at(item.class_index, item.tenant);
  line.cursor = links_[static_cast<size_t>(slot)].next;
  line.counter += cost;
  unlink(slot);
  waits_[static_cast<size_t>(slot)] = 0;
  --count_;
  advance(item.class_index, item.tenant);
  offered_ = kNone;
}

void FairQueue::pass(double cost) {
  WEIR_CHECK(in_round_ && offered_ != kNone);
  const Item& item = items_[static_cast<size_t>(offered_)];
  touch(item.class_index, item.tenant);
  Line& line = at(item.class_index, item.tenant);
  line.cursor = links_[static_cast<size_t>(offered_)].next;
  line.extra += cost;
  advance(item.class_index, item.tenant);
  offered_ = kNone;
}

void FairQueue::pass_tenant() {
  WEIR_CHECK(in_round_ && offered_ != kNone);
  const Item& item = items_[static_cast<size_t>(offered_)];
  touch(item.class_index, item.tenant);
  at(item.class_index, item.tenant).cursor = kNone;
  advance(item.class_index, item.tenant);
  offered_ = kNone;
}

void FairQueue::end_round() {
  WEIR_CHECK(in_round_);
  in_round_ = false;
  for (const int32_t line_index : touched_) {
    const int class_index = line_index / tenants_, tenant = line_index % tenants_;
    Line& line = at(class_index, tenant);
    const bool moved = line.extra != 0;
    line.touched = false;
    line.extra = 0;
    if (line.heap_at >= 0 && moved) heap_fix(class_index, line.heap_at);
    if (line.heap_at < 0 && line.front != kNone) heap_push(class_index, tenant);
  }
  touched_.clear();
}

void FairQueue::check_everything() const {
  WEIR_CHECK(!in_round_);
  int total = 0;
  for (int c = 0; c < classes_; ++c) {
    int in_lines = 0, in_order = 0, with_somebody = 0;
    for (int t = 0; t < tenants_; ++t) {
      const Line& line = at(c, t);
      WEIR_CHECK((line.front != kNone) == (line.heap_at >= 0) && line.extra == 0 && !line.touched);
      with_somebody += line.front != kNone;
      if (line.heap_at >= 0) WEIR_CHECK(heap(c, line.heap_at) == t);
      if (line.heap_at > 0) WEIR_CHECK(!before(c, t, heap(c, (line.heap_at - 1) / 2)));
      for (SlotIndex s = line.front; s != kNone; s = links_[static_cast<size_t>(s)].next) {
        const SlotIndex after = links_[static_cast<size_t>(s)].next;
        WEIR_CHECK(waits_[static_cast<size_t>(s)] && item(s).class_index == c && item(s).tenant == t);
        WEIR_CHECK(after == kNone ? line.back == s : item(s).age < item(after).age);
        ++in_lines;
      }
    }
    for (SlotIndex s = orders_[c].front; s != kNone; s = links_[static_cast<size_t>(s)].class_next) {
      const SlotIndex after = links_[static_cast<size_t>(s)].class_next;
      WEIR_CHECK(after == kNone ? orders_[c].back == s : item(s).since <= item(after).since);
      ++in_order;
    }
    WEIR_CHECK(in_lines == in_order && in_lines == counts_[c] && with_somebody == orders_[c].heap_size);
    total += in_lines;
  }
  WEIR_CHECK(total == count_);
}

}  // namespace weir
