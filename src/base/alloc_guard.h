// Allocation guard: counts heap allocations on threads that promised to make none.
//
// A thread calls seal_this_thread("engine") once it is warm. From then on every operator new on it is counted under
// that name (weir_sealed_allocations_total), and in a debug build it is a CHECK. The counting sits in the replaced
// operator new of base/alloc_hook.cc, linked into the program weir and into the tests that ask for it (the CMake
// target weir_alloc_hook); without it, and under sanitizers, which bring their own operator new, sealing does nothing
// and alloc_guard_linked() is false. Cost: one thread-local load per allocation.
//
// Out of reach: malloc() called directly, by libc (fopen, getaddrinfo, the first printf) or by a C library. Frees are
// not counted: giving memory back cannot fail.
//
// Thread: any; counters are relaxed atomics that live as long as the process. Limits: kSealedNamesMax names.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

inline constexpr size_t kSealedNamesMax = 8;

// name: a string literal; threads of one name share a counter ("worker"). Sealing again under the same name is fine.
void seal_this_thread(const char* name);
void unseal_this_thread();
bool this_thread_is_sealed();

// Whether this program counts at all.
bool alloc_guard_linked();

struct SealedThread {
  std::string_view name;
  uint64_t allocations = 0;  // since the first seal under this name
};
// Names in the order of their first seal. RETURNS: the filled front of *memory.
std::span<const SealedThread> sealed_threads(std::array<SealedThread, kSealedNamesMax>* memory);
uint64_t sealed_allocations(std::string_view name);  // 0 for a name that nobody sealed under

// Whether an allocation on a sealed thread is a CHECK failure; on in debug builds.
void set_sealed_allocation_fatal(bool fatal);

// Lifts the seal for a scope: an error path that must say what happened. Each use says why it is no step's work.
class [[nodiscard]] AllowAllocations {
 public:
  AllowAllocations();
  ~AllowAllocations();
  AllowAllocations(const AllowAllocations&) = delete;
  AllowAllocations& operator=(const AllowAllocations&) = delete;

 private:
  void* const counter_;
};

namespace alloc_guard {

struct Counter {
  std::atomic<const char*> name{nullptr};
  std::atomic<uint64_t> allocations{0};
};
// The calling thread's counter; null while it is not sealed. constinit, so that the hook needs no wrapper call.
extern constinit thread_local Counter* t_counter;

void note_allocation(Counter* counter, size_t bytes);  // for the hook alone
void mark_linked();

}  // namespace alloc_guard
}  // namespace weir
