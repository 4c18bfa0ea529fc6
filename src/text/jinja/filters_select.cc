// map, select, reject, selectattr, rejectattr and attr: filters that use other filters, tests and attributes.
#include "text/jinja/filters.h"

namespace weir::jinja {
namespace {

bool map_attribute(Interp& in, const Vec<Value>& items, const Args& args, Seq& out) {
  Bound b(in.heap, "map", args, {"attribute", "default"});
  if (!b.ok()) return true;
  AttrPath path(in, *b.get(0));
  if (b.given(1)) path.set_default(b.get(1));
  for (const Value& item : items) {
    Value v = path.get(item);
    if (!in.heap.step()) break;
    out.push(std::move(v));
  }
  return true;
}

bool map(Interp& in, const Value& v, const Args& args, Seq& out) {
  Vec<Value> items;
  if (!truthy(v)) return true;  // none, 0 and the like map to nothing, and the arguments are not looked at
  if (args.positional.empty() && args.find("attribute") == nullptr)
    in.heap.fail("map needs a filter or attribute=");
  if (!iterate(in.heap, v, items)) return true;
  if (args.positional.empty()) return map_attribute(in, items, args, out);
  const Value& name = args.positional[0];
  const FilterFn filter = name.is(Kind::kString) ? find_filter(name.text()) : nullptr;
  Args rest;
  rest.positional.assign(args.positional.begin() + 1, args.positional.end());
  rest.keyword = args.keyword;
  for (const Value& item : items) {
    if (filter == nullptr) in.heap.fail("map: there is no such filter");
    if (!in.heap.step()) break;
    Value mapped = filter(in, item, rest);
    if (!in.heap.failed()) out.push(std::move(mapped));
  }
  return true;
}

template <bool kAttribute, bool kKeep>
bool select(Interp& in, const Value& v, const Args& args, Seq& out) {
  Vec<Value> items;
  if (!truthy(v)) return true;
  constexpr size_t kTestAt = kAttribute ? 1 : 0;
  if (kAttribute && args.positional.empty()) in.heap.fail("the name of an attribute is missing");
  if (!iterate(in.heap, v, items)) return true;
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
    if (with_test && test == nullptr) in.heap.fail("there is no such test");
    const Value probe = path.get(item);
    if (!in.heap.step()) break;
    const bool hit = with_test ? test(in, probe, rest) : truthy(probe);
    if (!in.heap.failed() && hit == kKeep) out.push(item);
  }
  return true;
}

Value attr(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "attr", args, {"name"}, 1);
  const Text name(b.ok() ? b.text(0, "") : "");
  if (in.heap.failed()) return {};
  // Unlike v.name, this never looks into a dict's keys.
  if (v.is(Kind::kDict)) {
    const Value bound = in.get_attr(v, name);
    return bound.is(Kind::kBuiltin) && v.dict()->find(name) == nullptr
               ? bound
               : Value::undefined(in.heap.intern(name), v.kind());
  }
  return in.get_attr(v, name);
}

}  // namespace

FilterFn find_select_filter(std::string_view name) {
  static constexpr FilterEntry kFilters[] = {{"map", lazy<map>},
                                             {"select", lazy<select<false, true>>},
                                             {"reject", lazy<select<false, false>>},
                                             {"selectattr", lazy<select<true, true>>},
                                             {"rejectattr", lazy<select<true, false>>},
                                             {"attr", attr}};
  for (const FilterEntry& f : kFilters) {
    if (f.name == name) return f.fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
