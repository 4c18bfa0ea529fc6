#include "text/jinja/compare.h"

#include <cmath>
#include <cstring>

namespace weir::jinja {
namespace {

int sign_of(auto a, auto b) { return a < b ? -1 : (a > b ? 1 : 0); }

int int_float_order(int64_t i, double d) {
  if (std::isnan(d)) return 2;
  if (d >= 9223372036854775808.0) return -1;
  if (d < -9223372036854775808.0) return 1;
  const double whole = std::trunc(d);
  const int order = sign_of(i, static_cast<int64_t>(whole));
  return order != 0 ? order : -sign_of(d - whole, 0.0);
}

int big_order(std::string_view a, std::string_view b) {
  const bool minus_a = a.front() == '-';
  const bool minus_b = b.front() == '-';
  if (minus_a != minus_b) return minus_a ? -1 : 1;
  const int order = a.size() != b.size() ? sign_of(a.size(), b.size()) : a.compare(b);
  return minus_a ? -order : order;
}

// A big integer lies outside int64, so its sign decides against every int64.
int any_int_order(const Value& a, const Value& b) {
  if (a.is(Kind::kBigInt) && b.is(Kind::kBigInt)) return big_order(a.text(), b.text());
  if (a.is(Kind::kBigInt)) return a.text().front() == '-' ? -1 : 1;
  if (b.is(Kind::kBigInt)) return b.text().front() == '-' ? 1 : -1;
  return sign_of(a.integer(), b.integer());
}

bool is_any_number(const Value& v) { return v.is_number() || v.is(Kind::kBigInt); }

bool equals_at(Heap& heap, const Value& a, const Value& b, int depth);

bool seq_equals(Heap& heap, Seq* a, Seq* b, int depth) {
  const bool same_flavour = a->flavour == b->flavour || (a->tuple_like() && b->tuple_like());
  if (!same_flavour || a->flavour == SeqKind::kValues || a->flavour == SeqKind::kIterator) return false;
  if (a->items.size() != b->items.size()) return false;
  for (size_t i = 0; i < a->items.size() && i < b->items.size(); ++i) {
    if (!equals_at(heap, a->items[i], b->items[i], depth + 1)) return false;
  }
  return true;
}

bool dict_equals(Heap& heap, Dict* a, Dict* b, int depth) {
  if (a->items.size() != b->items.size()) return false;
  for (const auto& [key, value] : a->items) {
    const Value* other = b->find(key);
    if (other == nullptr || !equals_at(heap, value, *other, depth + 1)) return false;
  }
  return true;
}

bool equals_at(Heap& heap, const Value& a, const Value& b, int depth) {
  if (!heap.step()) return false;
  if (a.has_object() && b.has_object() && a.object() == b.object()) return true;
  if (is_any_number(a) && is_any_number(b)) return number_order(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  if (depth > kMaxValueDepth) {
    heap.fail("values are nested too deeply to compare");
    return false;
  }
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kMissing:
    case Kind::kNone:
      return true;
    case Kind::kString:
      return a.text().size() == b.text().size() && heap.step_bytes(a.text().size()) && a.text() == b.text();
    case Kind::kSeq:
      return seq_equals(heap, a.seq(), b.seq(), depth);
    case Kind::kDict:
      return dict_equals(heap, a.dict(), b.dict(), depth);
    default:
      return false;
  }
}

bool order_ok(Compare op, int order) {
  if (order == 2) return false;
  switch (op) {
    case Compare::kLt:
      return order < 0;
    case Compare::kLe:
      return order <= 0;
    case Compare::kGt:
      return order > 0;
    default:
      return order >= 0;
  }
}

bool compare_order(Heap& heap, Compare op, const Value& a, const Value& b, int depth) {
  if (!heap.step()) return false;
  if (is_any_number(a) && is_any_number(b)) return order_ok(op, number_order(a, b));
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    heap.step_bytes(std::min(a.text().size(), b.text().size()));
    return order_ok(op, sign_of(a.text().compare(b.text()), 0));
  }
  const bool lists = a.is(Kind::kSeq) && b.is(Kind::kSeq) &&
                     ((a.seq()->flavour == SeqKind::kList && b.seq()->flavour == SeqKind::kList) ||
                      (a.seq()->tuple_like() && b.seq()->tuple_like()));
  if (lists && depth <= kMaxValueDepth) {
    const auto& x = a.seq()->items;
    const auto& y = b.seq()->items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equals(heap, x[i], y[i])) return compare_order(heap, op, x[i], y[i], depth + 1);
    }
    return order_ok(op, sign_of(x.size(), y.size()));
  }
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) heap.fail(v->undefined_message());
  }
  heap.fail("cannot order '" + Text(type_name(a)) + "' and '" + Text(type_name(b)) + "'");
  return false;
}

int key_rank(const Value& v) {
  if (is_any_number(v)) return 1;
  if (v.is(Kind::kString)) return 2;
  if (v.is(Kind::kSeq) && v.seq()->tuple_like()) return 3;
  return v.has_object() ? 5 : 4;
}

}  // namespace

int number_order(const Value& a, const Value& b) {
  if (a.is(Kind::kFloat) && b.is(Kind::kFloat)) {
    if (std::isnan(a.real()) || std::isnan(b.real())) return 2;
    return sign_of(a.real(), b.real());
  }
  if (!a.is(Kind::kFloat) && !b.is(Kind::kFloat)) return any_int_order(a, b);
  const bool flip = a.is(Kind::kFloat);
  const Value& whole = flip ? b : a;
  const double d = (flip ? a : b).real();
  int order = 0;
  if (whole.is(Kind::kBigInt)) {
    const double big = std::strtod(whole.str()->text.c_str(), nullptr);
    order = std::isnan(d) ? 2 : sign_of(big, d);
  } else {
    order = int_float_order(whole.integer(), d);
  }
  return order == 2 || !flip ? order : -order;
}

bool equals(Heap& heap, const Value& a, const Value& b) { return equals_at(heap, a, b, 0); }

bool compare(Heap& heap, Compare op, const Value& a, const Value& b) {
  switch (op) {
    case Compare::kEq:
      return equals(heap, a, b);
    case Compare::kNe:
      return !equals(heap, a, b);
    case Compare::kIn:
      return contains(heap, b, a);
    case Compare::kNotIn:
      return !contains(heap, b, a);
    default:
      return compare_order(heap, op, a, b, 0);
  }
}

bool contains(Heap& heap, const Value& container, const Value& item) {
  if (container.is(Kind::kString)) {
    if (!item.is(Kind::kString)) {
      heap.fail("'in <string>' requires a string on its left, not " + Text(type_name(item)));
      return false;
    }
    const std::string_view text = container.text();
    heap.step_bytes(text.size());
    return item.text().empty() ||
           memmem(text.data(), text.size(), item.text().data(), item.text().size()) != nullptr;
  }
  if (container.is(Kind::kDict) || (container.is(Kind::kSeq) && container.seq()->flavour == SeqKind::kKeys)) {
    if (!hashable(item)) {
      heap.fail("unhashable type: '" + Text(type_name(item)) + "'");
      return false;
    }
  }
  if (container.is(Kind::kDict)) return heap.step() && container.dict()->find(item) != nullptr;
  Vec<Value> items;
  if (!iterate(heap, container, items)) return false;
  for (const Value& candidate : items) {
    if (equals(heap, candidate, item)) return true;
    if (heap.failed()) return false;
  }
  return false;
}

int key_order(const Value& a, const Value& b) {
  if (a.has_object() && b.has_object() && a.object() == b.object()) return 0;
  const int rank = key_rank(a);
  if (rank != key_rank(b)) return rank - key_rank(b);
  if (rank == 1) {
    const int order = number_order(a, b);
    if (order != 2) return order;
    const bool nan_a = a.is(Kind::kFloat) && std::isnan(a.real());
    const bool nan_b = b.is(Kind::kFloat) && std::isnan(b.real());
    return static_cast<int>(nan_a) - static_cast<int>(nan_b);  // all NaN keys are one, after every number
  }
  if (rank == 2) return sign_of(a.text().compare(b.text()), 0);
  if (rank == 3) {
    const auto& x = a.seq()->items;
    const auto& y = b.seq()->items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (const int order = key_order(x[i], y[i])) return order;
    }
    return sign_of(x.size(), y.size());
  }
  if (rank == 4) return sign_of(static_cast<int>(a.kind()), static_cast<int>(b.kind()));
  return sign_of(a.object(), b.object());
}

}  // namespace weir::jinja
