// Heap: the memory and the patience of one render.
//
// Every object a template makes (strings, lists, dicts, scopes, macros) is born here, is counted in bytes, and is
// freed when its last reference goes or, for reference cycles, when the heap dies. The heap also holds the step
// budget and the first error: once failed() is true every loop winds down and the render returns that error.
// Owner: one render on one thread; never shared. Limits: Limits below. Never throws, never aborts on template
// input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace weir::jinja {

struct Limits {
  int64_t steps = 2'000'000;              // statements, expressions and units of bulk work; > 0
  size_t output_bytes = size_t{8} << 20;  // all text buffers that are open at once
  size_t heap_bytes = size_t{64} << 20;   // live value bytes
  int depth = 900;                        // nested evaluation, about 8 levels per macro call
};

inline constexpr int kMaxValueDepth = 200;        // nesting that repr, tojson and == will walk
inline constexpr size_t kBulkBytesPerStep = 128;  // copying or scanning this many bytes costs one step

class Heap;

// Base of everything reference counted. Counts are not atomic: a heap lives on one thread.
struct Object {
  explicit Object(Heap& owner);
  virtual ~Object();
  virtual void drop() {}  // forget every reference to other objects; used to break cycles at the end
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  Heap* heap;
  Object* prev = nullptr;
  Object* next = nullptr;
  size_t bytes = 0;  // charged to the heap so far
  uint32_t refs = 0;
};

class Heap {
 public:
  explicit Heap(const Limits& limits) : limits_(limits) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T, class... A>
  T* make(A&&... args) {
    T* object = new T(*this, std::forward<A>(args)...);
    charge(object, sizeof(T));
    return object;
  }

  // Spends steps. RETURNS: false once the render has failed, so that loops can stop.
  bool step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) fail_steps();
    return !failed_;
  }
  bool step_bytes(size_t bytes) { return step(1 + static_cast<int64_t>(bytes / kBulkBytesPerStep)); }

  void charge(Object* object, size_t bytes);  // adds live bytes to an object; fails the render beyond the limit
  bool can_make(uint64_t bytes);  // asks before a big value is built; fails the render when it never fits
  void retire(Object* object);    // the last reference went; frees without recursion

  void fail(std::string message);        // keeps the first message
  void fail_exact(std::string message);  // likewise, and locate() leaves it alone: raise_exception's own words
  // A generator keeps its error until it is read: takes back a failure that is not a limit. RETURNS: its message.
  const std::string* postpone();
  void locate(int line);  // adds the template line to the error, once
  bool failed() const { return failed_; }
  const std::string& error() const { return error_; }
  const Limits& limits() const { return limits_; }
  int64_t steps() const { return steps_; }
  size_t live_bytes() const { return live_bytes_; }
  const std::string* intern(std::string_view text);  // a name that lives as long as the heap

 private:
  friend struct Object;
  void fail_steps();
  void fail_limit(std::string message);

  const Limits limits_;
  int64_t steps_ = 0;
  size_t live_bytes_ = 0;
  bool failed_ = false;
  bool located_ = false;
  bool final_ = false;  // a limit: never taken back
  bool draining_ = false;
  std::string error_;
  Object* live_ = nullptr;
  Object* dead_ = nullptr;
  std::deque<std::string> names_;
};

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
