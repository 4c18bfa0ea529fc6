// The replaced operator new and delete, every form: malloc, and one look at whether this thread is sealed.
//
// Not part of the library weir_base: a program that wants it links the object library weir_alloc_hook, once. Under
// sanitizers this file is empty, because they replace the same functions. The standard makes these functions throw;
// that is the one place where weir does.
#include "base/alloc_guard.h"
#include "base/sanitized.h"

#if !WEIR_ADDRESS_SANITIZER && !WEIR_THREAD_SANITIZER && !WEIR_HAS_FEATURE(memory_sanitizer)

#include <cstdlib>
#include <new>

namespace {

[[maybe_unused]] const bool kMarked = (weir::alloc_guard::mark_linked(), true);

// RETURNS: null when there is no memory and no handler that could find some. alignment 0: what malloc gives.
void* allocate(std::size_t bytes, std::size_t alignment) {
  if (weir::alloc_guard::Counter* counter = weir::alloc_guard::t_counter) {
    weir::alloc_guard::note_allocation(counter, bytes);
  }
  if (bytes == 0) bytes = 1;
  for (;;) {
    void* memory = nullptr;
    if (alignment == 0) {
      memory = std::malloc(bytes);
    } else if (posix_memalign(&memory, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes) != 0) {
      memory = nullptr;
    }
    if (memory != nullptr) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) return nullptr;
    handler();
  }
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* allocate_quietly(std::size_t bytes, std::size_t alignment) noexcept {
  try {
    return allocate(bytes, alignment);
  } catch (...) {  // a handler may throw
    return nullptr;
  }
}

using std::align_val_t;
using std::nothrow_t;
using std::size_t;
constexpr size_t number(align_val_t alignment) { return static_cast<size_t>(alignment); }

}  // namespace

// noinline: gcc otherwise sees malloc in one place and delete in another, and warns of a mismatch.
#define WEIR_HOOK [[gnu::noinline]]
WEIR_HOOK void* operator new(size_t n) { return allocate_or_throw(n, 0); }
WEIR_HOOK void* operator new[](size_t n) { return allocate_or_throw(n, 0); }
WEIR_HOOK void* operator new(size_t n, align_val_t a) { return allocate_or_throw(n, number(a)); }
WEIR_HOOK void* operator new[](size_t n, align_val_t a) { return allocate_or_throw(n, number(a)); }
WEIR_HOOK void* operator new(size_t n, const nothrow_t&) noexcept { return allocate_quietly(n, 0); }
WEIR_HOOK void* operator new[](size_t n, const nothrow_t&) noexcept { return allocate_quietly(n, 0); }
WEIR_HOOK void* operator new(size_t n, align_val_t a, const nothrow_t&) noexcept {
  return allocate_quietly(n, number(a));
}
WEIR_HOOK void* operator new[](size_t n, align_val_t a, const nothrow_t&) noexcept {
  return allocate_quietly(n, number(a));
}

WEIR_HOOK void operator delete(void* p) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, size_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, size_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, size_t, align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, size_t, align_val_t) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, const nothrow_t&) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, const nothrow_t&) noexcept { std::free(p); }
WEIR_HOOK void operator delete(void* p, align_val_t, const nothrow_t&) noexcept { std::free(p); }
WEIR_HOOK void operator delete[](void* p, align_val_t, const nothrow_t&) noexcept { std::free(p); }

#endif
