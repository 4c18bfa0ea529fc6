// map, select, reject, selectattr, rejectattr and attr: filters that use other filters, tests and attributes.
//
// jinja2 makes these lazily; here they are computed at once and can be read once, which only differs when an error
// hides behind items that are never read.
#include "text/jinja/filters.h"

namespace weir::jinja {
namespace {

Value map_attribute(Interp& in, const std::vector<Value>& items, const Args& args) {
  Bound b(in.heap, "map", args, {"attribute", "default"});
  if (!b.ok()) return {};
  AttrPath path(in, *b.get(0));
  if (b.given(1)) path.set_default(b.get(1));
  Value out = make_seq(in.heap, SeqKind::kIterator);
  for (const Value& item : items) {
    out.seq()->push(path.get(item));
    if (!in.heap.step()) return {};
  }
  return out;
}

// Falsy values, such as none, map to nothing; jinja2 does not even look at the arguments then.
bool source_items(Interp& in, const Value& v, std::vector<Value>& items) {
  return !truthy(v) || iterate(in.heap, v, items);
}

Value map(Interp& in, const Value& v, const Args& args) {
  std::vector<Value> items;
  Value out = make_seq(in.heap, SeqKind::kIterator);
  if (!source_items(in, v, items)) return {};
  if (!truthy(v)) return out;
  if (args.positional.empty() && args.find("attribute") != nullptr) return map_attribute(in, items, args);
  if (args.positional.empty()) return in.fail("map needs a filter or attribute=");
  const Value& name = args.positional[0];
  const FilterFn filter = name.is(Kind::kString) ? find_filter(name.text()) : nullptr;
  Args rest;
  rest.positional.assign(args.positional.begin() + 1, args.positional.end());
  rest.keyword = args.keyword;
  for (const Value& item : items) {
    if (filter == nullptr) return in.fail("map: there is no such filter");
    out.seq()->push(filter(in, item, rest));
    if (!in.heap.step()) return {};
  }
  return out;
}

template <bool kAttribute, bool kKeep>
Value select(Interp& in, const Value& v, const Args& args) {
  std::vector<Value> items;
  Value out = make_seq(in.heap, SeqKind::kIterator);
  if (!source_items(in, v, items)) return {};
  if (!truthy(v)) return out;
  constexpr size_t kTestAt = kAttribute ? 1 : 0;
  if (kAttribute && args.positional.empty()) return in.fail("the name of an attribute is missing");
  const AttrPath path(in, kAttribute ? args.positional[0] : Value::none());
  const bool with_test = args.positional.size() > kTestAt;
  TestFn test = nullptr;
  Args rest;
  if (with_test) {
    const Value& name = args.positional[kTestAt];
    if (name.is(Kind::kString)) test = find_test(name.text());
    rest.positional.assign(args.positional.begin() + kTestAt + 1, args.positional.end());
    rest.keyword = args.keyword;
  }
  for (const Value& item : items) {
    if (with_test && test == nullptr) return in.fail("there is no such test");
    const Value probe = path.get(item);
    if (in.heap.failed()) return {};
    const bool hit = with_test ? test(in, probe, rest) : truthy(probe);
    if (!in.heap.step()) return {};
    if (hit == kKeep) out.seq()->push(item);
  }
  return out;
}

Value attr(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "attr", args, {"name"}, 1);
  const std::string name(b.ok() ? b.text(0, "") : "");
  if (in.heap.failed()) return {};
  // Unlike v.name, this never looks into a dict's keys.
  if (v.is(Kind::kDict)) {
    const Value bound = in.get_attr(v, name);
    return bound.is(Kind::kBuiltin) && v.dict()->find(name) == nullptr ? bound
                                                                       : Value::undefined(in.heap.intern(name), v.kind());
  }
  return in.get_attr(v, name);
}

}  // namespace

FilterFn find_select_filter(std::string_view name) {
  static constexpr FilterEntry kFilters[] = {
      {"map", map},
      {"select", select<false, true>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<true, false>},
      {"attr", attr}};
  for (const FilterEntry& f : kFilters) {
    if (f.name == name) return f.fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
