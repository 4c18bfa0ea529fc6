#include "text/jinja/heap.h"

#include <charconv>
#include <new>

#include "base/check.h"

namespace weir::jinja {
namespace {

constinit thread_local Heap* t_heap = nullptr;

template <class Number>
Text in_decimal(Number number) {
  char digits[24];
  return Text(digits, std::to_chars(digits, digits + sizeof(digits), number).ptr);
}

}  // namespace

Text number_text(int64_t number) { return in_decimal(number); }
Text number_text(size_t number) { return in_decimal(number); }

Object::Object(Heap& owner) : heap(&owner), next(owner.live_) {
  if (next != nullptr) next->prev = this;
  owner.live_ = this;
}

Object::~Object() = default;

Heap::Heap(const Limits& limits) : limits_(limits), slabs_(limits.heap_bytes), outer_(t_heap) { t_heap = this; }

Heap::~Heap() {
  WEIR_CHECK(t_heap == this);
  // What is still alive here is held by a cycle, or by a failed render. Pin everything first, so that dropping the
  // references between objects frees none of them half way through the walk.
  for (Object* o = live_; o != nullptr; o = o->next) ++o->refs;
  for (Object* o = live_; o != nullptr; o = o->next) o->drop();
  while (live_ != nullptr) {
    Object* o = live_;
    live_ = o->next;
    delete o;
  }
  names_.clear();
  WEIR_CHECK_MSG(live_bytes_ == 0, "a Text or a Vec outlived its Heap");
  t_heap = outer_;
}

void* Heap::take(size_t bytes) {
  WEIR_CHECK_MSG(t_heap != nullptr, "a Text or a Vec without a Heap");
  void* const at = t_heap->slabs_.take(bytes);
  if (at == nullptr) {
    t_heap->fail_full();
    throw std::bad_alloc();
  }
  t_heap->live_bytes_ += bytes;
  return at;
}

void Heap::give(void* at, size_t bytes) noexcept {
  if (at == nullptr) return;
  t_heap->live_bytes_ -= bytes;
  t_heap->slabs_.give(at, bytes);
}

void Heap::retire(Object* object) {
  if (object->prev != nullptr) object->prev->next = object->next;
  if (object->next != nullptr) object->next->prev = object->prev;
  if (live_ == object) live_ = object->next;
  object->next = dead_;
  dead_ = object;
  if (draining_)
    return;  // the loop below, further up the stack, will reach it: no recursion however deep the value
  draining_ = true;
  while (dead_ != nullptr) {
    Object* o = dead_;
    dead_ = o->next;
    delete o;
  }
  draining_ = false;
}

void Heap::fail_full() {
  fail_limit("the template holds more than " + std::to_string(limits_.heap_bytes) + " bytes of values");
}

bool Heap::can_make(uint64_t bytes) {
  if (bytes > limits_.heap_bytes - slabs_.counted_bytes()) {
    fail_limit("the template asks for a value of " + std::to_string(bytes) + " bytes; the limit is " +
               std::to_string(limits_.heap_bytes));
  }
  return step_bytes(bytes) && !failed_;
}

bool Heap::can_copy_out(size_t bytes) {
  if (!slabs_.count_outside(bytes)) fail_full();
  return !failed_;
}

void Heap::fail(std::string_view message) {
  if (failed_) return;
  failed_ = true;
  error_ = message.substr(0, kMessageBytesMax);
}

void Heap::fail_limit(std::string_view message) {
  fail(message);
  final_ = true;
}

std::optional<std::string_view> Heap::postpone() {
  if (!failed_ || final_) return {};
  const std::string message = std::exchange(error_, {});
  failed_ = false;
  located_ = false;
  return intern(message);
}

void Heap::fail_exact(std::string_view message) {
  if (!failed_) located_ = true;
  fail(message);
}

void Heap::locate(int line) {
  if (!failed_ || located_) return;
  located_ = true;
  error_ = "chat template line " + std::to_string(line) + ": " + error_;
}

void Heap::fail_steps() {
  fail_limit("the template ran for more than " + std::to_string(limits_.steps) + " steps; it may loop for ever");
}

std::string_view Heap::intern(std::string_view text) { return names_.emplace_front(text); }

}  // namespace weir::jinja
