// Methods of lists and dicts, and the look-up by kind.
#include "text/jinja/methods.h"

#include <algorithm>

#include "text/jinja/compare.h"

namespace weir::jinja {
namespace {

Value list_append(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "append", args, {"value"}, 1);
  if (b.ok()) self.seq()->push(*b.get(0));
  return Value::none();
}

Value list_extend(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "extend", args, {"values"}, 1);
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, *b.get(0), items)) return {};
  if (!in.heap.can_make(items.size() * sizeof(Value))) return {};
  for (Value& v : items) self.seq()->push(std::move(v));
  return Value::none();
}

Value list_insert(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "insert", args, {"index", "value"}, 2);
  const int64_t given = b.ok() ? b.integer(0, 0) : 0;
  if (in.heap.failed()) return {};
  auto& items = self.seq()->items;
  const int64_t size = static_cast<int64_t>(items.size());
  const int64_t at = given < 0 ? std::max<int64_t>(0, given < -size ? 0 : given + size) : std::min(given, size);
  self.seq()->push(*b.get(1));
  if (!in.heap.step(1 + size / 16)) return {};
  std::rotate(items.begin() + at, items.end() - 1, items.end());
  return Value::none();
}

Value list_pop(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "pop", args, {"index"});
  int64_t at = b.ok() ? b.integer(0, -1) : 0;
  auto& items = self.seq()->items;
  const int64_t size = static_cast<int64_t>(items.size());
  if (at < 0) at += size;
  if (!in.heap.failed() && (at < 0 || at >= size)) in.heap.fail("pop index out of range");
  if (!in.heap.step(1 + size / 16)) return {};
  Value v = items[static_cast<size_t>(at)];
  items.erase(items.begin() + at);
  return v;
}

Value list_remove(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "remove", args, {"value"}, 1);
  if (!b.ok()) return {};
  const Value wanted = *b.get(0);
  auto& items = self.seq()->items;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!equals(in.heap, items[i], wanted)) continue;
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(i));
    return Value::none();
  }
  return in.fail("list.remove: the value is not in the list");
}

Value list_clear(Interp&, const Value& self, const Args&) {
  Vec<Value> old;
  old.swap(self.seq()->items);
  return Value::none();
}

Value list_reverse(Interp& in, const Value& self, const Args&) {
  in.heap.step(1 + static_cast<int64_t>(self.seq()->items.size() / 16));
  std::reverse(self.seq()->items.begin(), self.seq()->items.end());
  return Value::none();
}

Value list_copy(Interp& in, const Value& self, const Args&) {
  Value out = make_seq(in.heap, SeqKind::kList);
  if (!out.seq()->reserve(self.seq()->items.size())) return {};
  for (const Value& v : self.seq()->items) out.seq()->push(v);
  return out;
}

Value list_count(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "count", args, {"value"}, 1);
  int64_t n = 0;
  if (!b.ok()) return {};
  for (const Value& v : self.seq()->items) n += equals(in.heap, v, *b.get(0)) ? 1 : 0;
  return Value::integer(n);
}

Value list_index(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "index", args, {"value", "start", "stop"}, 1);
  if (!b.ok()) return {};
  const auto& items = self.seq()->items;
  const int64_t size = static_cast<int64_t>(items.size());
  const auto bound = [&](int64_t i) {
    return i < 0 ? std::max<int64_t>(0, i < -size ? 0 : i + size) : std::min(i, size);
  };
  const int64_t from = bound(b.integer(1, 0));
  const int64_t to = bound(b.integer(2, size));
  for (int64_t i = from; i < to && !in.heap.failed(); ++i) {
    if (equals(in.heap, items[static_cast<size_t>(i)], *b.get(0))) return Value::integer(i);
  }
  return in.fail("list.index: the value is not in the list");
}

Value dict_view(Interp& in, Dict* d, SeqKind flavour) {
  Value out = make_seq(in.heap, flavour);
  if (!out.seq()->reserve(d->items.size())) return {};
  for (const auto& [key, value] : d->items) {
    if (flavour == SeqKind::kItems)
      out.seq()->push(make_pair(in.heap, key, value));
    else
      out.seq()->push(flavour == SeqKind::kKeys ? key : value);
    if (in.heap.failed()) return {};
  }
  return out;
}

Value dict_items(Interp& in, const Value& self, const Args& args) {
  return Bound(in.heap, "items", args, {}).ok() ? dict_view(in, self.dict(), SeqKind::kItems) : Value();
}
Value dict_keys(Interp& in, const Value& self, const Args& args) {
  return Bound(in.heap, "keys", args, {}).ok() ? dict_view(in, self.dict(), SeqKind::kKeys) : Value();
}
Value dict_values(Interp& in, const Value& self, const Args& args) {
  return Bound(in.heap, "values", args, {}).ok() ? dict_view(in, self.dict(), SeqKind::kValues) : Value();
}

bool key_ok(Interp& in, const Value& key) {
  if (!hashable(key)) in.heap.fail("unhashable type: '" + Text(type_name(key)) + "'");
  return in.heap.step();
}

// Python's dict methods take no keywords.
bool plain(Interp& in, const char* name, const Args& args, size_t least, size_t most) {
  if (args.keyword.empty() && args.positional.size() >= least && args.positional.size() <= most) return true;
  in.heap.fail(Text(name) + " takes " + number_text(least) + " to " + number_text(most) + " positional arguments");
  return false;
}

Value dict_get(Interp& in, const Value& self, const Args& args) {
  if (!plain(in, "get", args, 1, 2) || !key_ok(in, args.positional[0])) return {};
  if (const Value* v = self.dict()->find(args.positional[0])) return *v;
  return args.positional.size() > 1 ? args.positional[1] : Value::none();
}

Value dict_pop(Interp& in, const Value& self, const Args& args) {
  if (!plain(in, "pop", args, 1, 2) || !key_ok(in, args.positional[0])) return {};
  if (const Value* found = self.dict()->find(args.positional[0])) {
    Value v = *found;
    self.dict()->erase(args.positional[0]);
    return v;
  }
  return args.positional.size() > 1 ? args.positional[1] : in.fail("pop: the key is not in the dict");
}

Value dict_popitem(Interp& in, const Value& self, const Args& args) {
  if (!plain(in, "popitem", args, 0, 0)) return {};
  auto& items = self.dict()->items;
  if (items.empty()) return in.fail("popitem: the dict is empty");
  Value pair = make_pair(in.heap, items.back().first, items.back().second);
  const Value key = items.back().first;
  self.dict()->erase(key);
  return pair;
}

Value dict_setdefault(Interp& in, const Value& self, const Args& args) {
  if (!plain(in, "setdefault", args, 1, 2) || !key_ok(in, args.positional[0])) return {};
  if (const Value* found = self.dict()->find(args.positional[0])) return *found;
  Value v = args.positional.size() > 1 ? args.positional[1] : Value::none();
  self.dict()->set(args.positional[0], v);
  return v;
}

Value dict_update(Interp& in, const Value& self, const Args& args) {
  if (args.positional.size() > 1) return in.fail("update takes at most one positional argument");
  if (!args.positional.empty()) {
    const Value from = args.positional[0];
    if (from.is(Kind::kDict)) {
      const auto items = from.dict()->items;  // a copy: a dict may be updated with itself
      for (const auto& [key, value] : items) {
        if (!in.heap.step()) return {};
        self.dict()->set(key, value);
      }
    } else {
      Vec<Value> pairs;
      if (!iterate(in.heap, from, pairs)) return {};
      for (const Value& pair : pairs) {
        Vec<Value> two;
        if (!iterate(in.heap, pair, two)) return {};
        if (two.size() != 2) return in.fail("update needs pairs");
        if (!key_ok(in, two[0])) return {};
        self.dict()->set(two[0], two[1]);
      }
    }
  }
  for (const auto& [key, value] : args.keyword) self.dict()->set(in.string(key), value);
  return Value::none();
}

Value dict_clear(Interp&, const Value& self, const Args&) {
  self.dict()->clear();
  return Value::none();
}

Value dict_copy(Interp& in, const Value& self, const Args& args) {
  if (!plain(in, "copy", args, 0, 0)) return {};
  Value out = make_dict(in.heap);
  for (const auto& [key, value] : self.dict()->items) {
    if (!in.heap.step()) return {};
    out.dict()->set(key, value);
  }
  return out;
}

const Method* find_in(const Method* from, const Method* to, std::string_view name) {
  const Method* m = std::find_if(from, to, [&](const Method& each) { return each.name == name; });
  return m == to ? nullptr : m;
}

}  // namespace

const Method* find_list_method(std::string_view name, bool mutable_list) {
  static constexpr Method kMethods[] = {{"count", list_count},         {"index", list_index},
                                        {"copy", list_copy},           {"append", list_append, true},
                                        {"extend", list_extend, true}, {"insert", list_insert, true},
                                        {"pop", list_pop, true},       {"remove", list_remove, true},
                                        {"clear", list_clear, true},   {"reverse", list_reverse, true}};
  const Method* m = find_in(std::begin(kMethods), std::end(kMethods), name);
  return m == nullptr || mutable_list || (!m->mutates && name != "copy") ? m : nullptr;
}

const Method* find_dict_method(std::string_view name) {
  static constexpr Method kMethods[] = {{"get", dict_get},
                                        {"items", dict_items},
                                        {"keys", dict_keys},
                                        {"values", dict_values},
                                        {"copy", dict_copy},
                                        {"pop", dict_pop, true},
                                        {"popitem", dict_popitem, true},
                                        {"setdefault", dict_setdefault, true},
                                        {"update", dict_update, true},
                                        {"clear", dict_clear, true}};
  return find_in(std::begin(kMethods), std::end(kMethods), name);
}

const Method* find_method(const Value& of, std::string_view name) {
  if (of.is(Kind::kDict)) return find_dict_method(name);
  if (of.is(Kind::kString)) return find_string_method(name);
  if (of.is(Kind::kSeq) && of.seq()->indexable())
    return find_list_method(name, of.seq()->flavour == SeqKind::kList);
  return nullptr;
}

}  // namespace weir::jinja
