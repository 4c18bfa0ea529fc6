#include "text/jinja/heap.h"

namespace weir::jinja {

Object::Object(Heap& owner) : heap(&owner), next(owner.live_) {
  if (next != nullptr) next->prev = this;
  owner.live_ = this;
}

Object::~Object() { heap->live_bytes_ -= bytes; }

Heap::~Heap() {
  // What is still alive here is held by a cycle, or by a failed render. Pin everything first, so that dropping the
  // references between objects frees none of them half way through the walk.
  for (Object* o = live_; o != nullptr; o = o->next) ++o->refs;
  for (Object* o = live_; o != nullptr; o = o->next) o->drop();
  while (live_ != nullptr) {
    Object* o = live_;
    live_ = o->next;
    delete o;
  }
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

void Heap::charge(Object* object, size_t bytes) {
  object->bytes += bytes;
  live_bytes_ += bytes;
  if (live_bytes_ > limits_.heap_bytes) {
    fail_limit("the template holds more than " + std::to_string(limits_.heap_bytes) + " bytes of values");
  }
}

bool Heap::can_make(uint64_t bytes) {
  if (bytes > limits_.heap_bytes || live_bytes_ + bytes > limits_.heap_bytes) {
    fail_limit("the template asks for a value of " + std::to_string(bytes) + " bytes; the limit is " +
               std::to_string(limits_.heap_bytes));
  }
  return step_bytes(bytes) && !failed_;
}

void Heap::fail(std::string message) {
  if (failed_) return;
  failed_ = true;
  error_ = std::move(message);
}

void Heap::fail_limit(std::string message) {
  fail(std::move(message));
  final_ = true;
}

const std::string* Heap::postpone() {
  if (!failed_ || final_) return nullptr;
  const std::string message = std::exchange(error_, {});
  failed_ = false;
  located_ = false;
  return intern(message);
}

void Heap::fail_exact(std::string message) {
  if (!failed_) located_ = true;
  fail(std::move(message));
}

void Heap::locate(int line) {
  if (!failed_ || located_) return;
  located_ = true;
  error_ = "chat template line " + std::to_string(line) + ": " + error_;
}

void Heap::fail_steps() {
  fail_limit("the template ran for more than " + std::to_string(limits_.steps) + " steps; it may loop for ever");
}

const std::string* Heap::intern(std::string_view text) {
  if (!can_make(text.size() + sizeof(std::string))) text = {};
  live_bytes_ += text.size() + sizeof(std::string);
  return &names_.emplace_back(text);
}

}  // namespace weir::jinja
