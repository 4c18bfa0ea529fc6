// Heap: the memory and the patience of one render.
//
// Every byte a render needs (strings, lists, dicts, scopes, the output, scratch) is taken here and nowhere else:
// Text and Vec take theirs from the heap of their thread, objects are born on it. It is asked before each growth
// and counts capacity, old and new together while a container moves; beyond the limit it notes the failure and
// throws std::bad_alloc, which parse_json and guarded() (engine.h) catch. Objects are freed when their last reference
// goes or, for reference cycles, when the heap dies. The heap also holds the step budget and the first error: once
// failed() is true every loop winds down and the render returns that error. Owner: one render on one thread; never
// shared. A thread's newest heap is the one that Text and Vec use, so what was made on an older one is left alone
// meanwhile. Limits: Limits below. Never aborts on template input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/slabs.h"

namespace weir::jinja {

struct Limits {
  int64_t steps = 2'000'000;              // statements, expressions and units of bulk work; > 0
  size_t output_bytes = size_t{8} << 20;  // all text buffers that are open at once
  size_t heap_bytes = size_t{64} << 20;   // everything that the render holds, and the copy of its output
  int depth = 900;                        // nested evaluation, about 8 levels per macro call
};

inline constexpr int kMaxValueDepth = 200;        // nesting that repr, tojson and == will walk
inline constexpr size_t kBulkBytesPerStep = 128;  // copying or scanning this many bytes costs one step

class Heap;

// Takes from the heap of the thread. Stateless, so that no container can be made without it.
template <class T>
struct HeapAllocator {
  using value_type = T;
  using is_always_equal = std::true_type;
  HeapAllocator() = default;
  template <class U>
  HeapAllocator(const HeapAllocator<U>&) {}  // NOLINT: as the standard asks
  T* allocate(size_t count);
  void deallocate(T* at, size_t count) noexcept;
  bool operator==(const HeapAllocator&) const { return true; }
};
using Text = std::basic_string<char, std::char_traits<char>, HeapAllocator<char>>;
template <class T>
using Vec = std::vector<T, HeapAllocator<T>>;

Text number_text(int64_t number);  // in decimal
inline Text number_text(int number) { return number_text(static_cast<int64_t>(number)); }
Text number_text(size_t number);

// Base of everything reference counted. Counts are not atomic: a heap lives on one thread.
struct Object {
  explicit Object(Heap& owner);
  virtual ~Object();
  virtual void drop() {}  // forget every reference to other objects; used to break cycles at the end
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  static void* operator new(size_t bytes);
  static void operator delete(void* object, size_t bytes) noexcept;

  Heap* heap;
  Object* prev = nullptr;
  Object* next = nullptr;
  uint32_t refs = 0;
};

class Heap {
 public:
  explicit Heap(const Limits& limits);
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T, class... A>
  T* make(A&&... args) {
    return new T(*this, std::forward<A>(args)...);
  }

  // Spends steps. RETURNS: false once the render has failed, so that loops can stop.
  bool step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) fail_steps();
    return !failed_;
  }
  bool step_bytes(size_t bytes) { return step(1 + static_cast<int64_t>(bytes / kBulkBytesPerStep)); }

  // Of the thread's heap. ERRORS: std::bad_alloc, when the heap has failed for its limit.
  static void* take(size_t bytes);
  static void give(void* at, size_t bytes) noexcept;

  bool can_make(
      uint64_t bytes);  // asks before the work of building a big value; fails the render when it never fits
  bool can_copy_out(size_t bytes);  // likewise for a copy that will outlive the heap, which counts it from here on
  void retire(Object* object);    // the last reference went; frees without recursion

  void fail(std::string_view message);        // keeps the first message, up to kMessageBytesMax of it
  void fail_exact(std::string_view message);  // likewise, and locate() leaves it alone: raise_exception's own words
  // A generator keeps its error until it is read: takes back a failure that is not a limit. RETURNS: its message.
  std::optional<std::string_view> postpone();
  void locate(int line);  // adds the template line to the error, once
  bool failed() const { return failed_; }
  const std::string& error() const { return error_; }
  const Limits& limits() const { return limits_; }
  int64_t steps() const { return steps_; }
  size_t counted_bytes() const { return slabs_.counted_bytes(); }
  std::string_view intern(std::string_view text);  // a name that lives as long as the heap

 private:
  friend struct Object;
  static constexpr size_t kMessageBytesMax = 2048;
  void fail_steps();
  void fail_limit(std::string_view message);
  void fail_full();

  const Limits limits_;
  Slabs slabs_;
  Heap* const outer_;  // the thread's heap before this one
  size_t live_bytes_ = 0;
  int64_t steps_ = 0;
  bool failed_ = false;
  bool located_ = false;
  bool final_ = false;  // a limit: never taken back
  bool draining_ = false;
  std::string error_;
  Object* live_ = nullptr;
  Object* dead_ = nullptr;
  std::forward_list<Text, HeapAllocator<Text>> names_;
};

template <class T>
T* HeapAllocator<T>::allocate(size_t count) {
  return static_cast<T*>(Heap::take(count > SIZE_MAX / sizeof(T) ? SIZE_MAX : count * sizeof(T)));
}
template <class T>
void HeapAllocator<T>::deallocate(T* at, size_t count) noexcept {
  Heap::give(at, count * sizeof(T));
}
inline void* Object::operator new(size_t bytes) { return Heap::take(bytes); }
inline void Object::operator delete(void* object, size_t bytes) noexcept { Heap::give(object, bytes); }

inline void add_ref(Object* object) {
  if (object != nullptr) ++object->refs;
}
inline void drop_ref(Object* object) {
  if (object != nullptr && --object->refs == 0) object->heap->retire(object);
}

// A counted pointer.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(T* object) : object_(object) { add_ref(object_); }  // NOLINT: reads well at call sites
  Ref(const Ref& other) : object_(other.object_) { add_ref(object_); }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { drop_ref(object_); }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace weir::jinja
