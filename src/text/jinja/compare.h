// Python's ==, <, `in` and ordering of dict keys. All walks are bounded in depth and charged in steps, so that two
// large shared structures cannot be compared for ever. One render, one thread.
#pragma once

#include "text/jinja/value.h"

namespace weir::jinja {

enum class Compare : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

bool equals(Heap& heap, const Value& a, const Value& b);
// Fails the render where Python raises TypeError (1 < 'a').
bool compare(Heap& heap, Compare op, const Value& a, const Value& b);
bool contains(Heap& heap, const Value& container, const Value& item);
// <0, 0, >0; 0 exactly where Python holds two dict keys for the same. REQUIRES: hashable(a), hashable(b)
int key_order(const Value& a, const Value& b);
// Python's total order of an int and a float, exact beyond 2^53. NaN: returns 2 (unordered).
int number_order(const Value& a, const Value& b);

}  // namespace weir::jinja
