#include "text/jinja/args.h"

namespace weir::jinja {

Bound::Bound(Heap& heap, std::string_view what, const Args& args, std::initializer_list<const char*> names,
             size_t required)
    : heap_(heap), what_(what), slots_(names.size(), nullptr) {
  if (args.positional.size() > names.size()) {
    fail("takes at most " + number_text(names.size()) + " arguments");
    return;
  }
  for (size_t i = 0; i < args.positional.size(); ++i) slots_[i] = &args.positional[i];
  for (const auto& [key, value] : args.keyword) {
    size_t i = 0;
    for (const char* name : names) {
      if (key == name) break;
      ++i;
    }
    if (i == names.size()) {
      fail("has no argument named '" + key + "'");
    } else if (slots_[i] != nullptr) {
      fail("got two values for '" + key + "'");
    } else {
      slots_[i] = &value;
    }
  }
  for (size_t i = 0; i < required; ++i) {
    if (slots_[i] == nullptr) fail(Text("needs the argument '") + names.begin()[i] + "'");
  }
}

void Bound::fail(const Text& why) {
  heap_.fail(Text(what_) + " " + why);
  ok_ = false;
}

int64_t Bound::integer(size_t i, int64_t fallback) {
  const Value* v = slots_[i];
  if (v == nullptr) return fallback;
  if (v->is_int_like()) return v->integer();
  fail("needs an integer, not " + Text(type_name(*v)));
  return fallback;
}

std::string_view Bound::text(size_t i, std::string_view fallback) {
  const Value* v = slots_[i];
  if (v == nullptr) return fallback;
  if (v->is(Kind::kString)) return v->text();
  fail("needs a string, not " + Text(type_name(*v)));
  return fallback;
}

}  // namespace weir::jinja
