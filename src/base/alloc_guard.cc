#include "base/alloc_guard.h"

#include <cstdio>
#include <mutex>

#include "base/check.h"

namespace weir {
namespace alloc_guard {

constinit thread_local Counter* t_counter = nullptr;

namespace {

// Constant-initialised: allocations happen before any constructor runs.
constinit Counter counters[kSealedNamesMax];
constinit std::mutex names_mutex;
constinit std::atomic<bool> linked{false};
#ifdef NDEBUG
constinit std::atomic<bool> fatal{false};
#else
constinit std::atomic<bool> fatal{true};
#endif

Counter* counter_of(std::string_view name) {
  for (Counter& counter : counters) {
    const char* taken = counter.name.load(std::memory_order_acquire);
    if (taken != nullptr && name == taken) return &counter;
  }
  return nullptr;
}

Counter* take_counter(const char* name) {
  std::lock_guard lock(names_mutex);
  if (Counter* known = counter_of(name)) return known;
  for (Counter& counter : counters) {
    if (counter.name.load(std::memory_order_relaxed) != nullptr) continue;
    counter.name.store(name, std::memory_order_release);
    return &counter;
  }
  check_failed("a free counter", __FILE__, __LINE__, "more names of sealed threads than kSealedNamesMax");
}

}  // namespace

void note_allocation(Counter* counter, size_t bytes) {
  counter->allocations.fetch_add(1, std::memory_order_relaxed);
  if (!fatal.load(std::memory_order_relaxed)) return;
  t_counter = nullptr;  // what reports the failure may allocate
  char text[96];
  std::snprintf(text, sizeof text, "the sealed thread '%s' asked the allocator for %zu bytes",
                counter->name.load(std::memory_order_relaxed), bytes);
  check_failed("no allocation after the seal", __FILE__, __LINE__, text);
}

void mark_linked() { linked.store(true, std::memory_order_relaxed); }

}  // namespace alloc_guard

void seal_this_thread(const char* name) { alloc_guard::t_counter = alloc_guard::take_counter(name); }
void unseal_this_thread() { alloc_guard::t_counter = nullptr; }
bool this_thread_is_sealed() { return alloc_guard::t_counter != nullptr; }
bool alloc_guard_linked() { return alloc_guard::linked.load(std::memory_order_relaxed); }
void set_sealed_allocation_fatal(bool fatal) { alloc_guard::fatal.store(fatal, std::memory_order_relaxed); }

std::span<const SealedThread> sealed_threads(std::array<SealedThread, kSealedNamesMax>* memory) {
  size_t count = 0;
  for (const alloc_guard::Counter& counter : alloc_guard::counters) {
    const char* name = counter.name.load(std::memory_order_acquire);
    if (name == nullptr) break;
    (*memory)[count++] = {name, counter.allocations.load(std::memory_order_relaxed)};
  }
  return std::span<const SealedThread>(*memory).first(count);
}

uint64_t sealed_allocations(std::string_view name) {
  const alloc_guard::Counter* counter = alloc_guard::counter_of(name);
  return counter == nullptr ? 0 : counter->allocations.load(std::memory_order_relaxed);
}

AllowAllocations::AllowAllocations() : counter_(alloc_guard::t_counter) { alloc_guard::t_counter = nullptr; }
AllowAllocations::~AllowAllocations() { alloc_guard::t_counter = static_cast<alloc_guard::Counter*>(counter_); }

}  // namespace weir
