// Args: what a template passed to a filter, test, method or function, and Bound, which matches it with the names
// the callee declares. Lives on the stack of one call.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "text/jinja/value.h"

namespace weir::jinja {

struct Args {
  Vec<Value> positional;
  Vec<std::pair<Text, Value>> keyword;
  const Value* find(std::string_view name) const {
    for (const auto& [key, value] : keyword) {
      if (key == name) return &value;
    }
    return nullptr;
  }
};

class Bound {
 public:
  // what: the callee, for messages. required: how many leading names must be given.
  // Fails the render for too many, unknown, doubled or missing arguments; ok() is then false.
  Bound(Heap& heap, std::string_view what, const Args& args, std::initializer_list<const char*> names,
        size_t required = 0);
  bool ok() const { return ok_; }
  const Value* get(size_t i) const { return slots_[i]; }  // nullptr when absent
  bool given(size_t i) const { return slots_[i] != nullptr && !slots_[i]->is(Kind::kNone); }
  bool flag(size_t i, bool fallback) const { return slots_[i] == nullptr ? fallback : truthy(*slots_[i]); }
  int64_t integer(size_t i, int64_t fallback);                 // fails the render for other types
  std::string_view text(size_t i, std::string_view fallback);  // likewise; valid while the Args live

 private:
  void fail(const Text& why);
  Heap& heap_;
  const std::string_view what_;
  Vec<const Value*> slots_;
  bool ok_ = true;
};

}  // namespace weir::jinja
