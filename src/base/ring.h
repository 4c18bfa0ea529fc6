// Bounded rings: the only places where threads meet. Full is an answer, never a wait.
// Their slots come once, in the constructor, from the memory resource given: an arena, or the heap by default. The
// resource outlives the ring.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory_resource>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"

namespace weir {

// One producer thread, one consumer thread. Slots are allocated once, in the constructor.
template <class T>
class SpscRing {
 public:
  explicit SpscRing(size_t capacity, std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : slots_(std::bit_ceil(capacity < 2 ? size_t{2} : capacity), memory) {}
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  // RETURNS: false when full; the item is then untouched.
  bool try_push(const T& item) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == slots_.size()) return false;
    slots_[tail & (slots_.size() - 1)] = item;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  bool try_pop(T* item) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return false;
    *item = std::move(slots_[head & (slots_.size() - 1)]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  // Free slots as the producer sees them: never more than there are.
  size_t room() const {
    return slots_.size() - (tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire));
  }
  size_t capacity() const { return slots_.size(); }
  // REQUIRES: neither thread is using the ring.
  void reset() {
    head_.store(0, std::memory_order_relaxed);
    tail_.store(0, std::memory_order_relaxed);
  }

 private:
  std::pmr::vector<T> slots_;
  alignas(64) std::atomic<size_t> head_{0};
  alignas(64) std::atomic<size_t> tail_{0};
};

// Many producers, one consumer: a mutex held for one copy. Used once per request, not per token, so the mutex
// costs less than the cache misses of a lock-free ring would.
template <class T>
class BoundedInbox {
 public:
  explicit BoundedInbox(size_t capacity, std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : capacity_(capacity), items_(memory) {
    items_.reserve(capacity);
  }

  // RETURNS: false when it is full or closed.
  bool try_push(T item) {
    std::lock_guard lock(mutex_);
    if (closed_ || items_.size() == capacity_) return false;
    items_.push_back(std::move(item));
    return true;
  }

  // Moves everything into `out`, any vector of T, which must be empty and reserved to capacity() so that nothing
  // allocates. Moved and not swapped: the two may have memory from different places.
  template <class Vector>
  void drain_into(Vector* out) {
    WEIR_CHECK(out->empty());
    std::lock_guard lock(mutex_);
    for (T& item : items_) out->push_back(std::move(item));
    items_.clear();
  }

  // The last drain: whatever is not in `out` now was refused, or will be.
  template <class Vector>
  void drain_and_close(Vector* out) {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    drain_into(out);
  }

  bool empty() const {
    std::lock_guard lock(mutex_);
    return items_.empty();
  }
  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }
  size_t capacity() const { return capacity_; }

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;
  std::pmr::vector<T> items_;
  bool closed_ = false;
};

}  // namespace weir
