// Filters over sequences and mappings.
#include <algorithm>

#include "text/jinja/compare.h"
#include "text/jinja/filters.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

Value seq_of(Interp& in, SeqKind flavour, const Vec<Value>& items) {
  Value out = make_seq(in.heap, flavour);
  if (!out.seq()->reserve(items.size())) return {};
  for (const Value& v : items) out.seq()->push(v);
  return out;
}

Value list(Interp& in, const Value& v, const Args& args) {
  Vec<Value> items;
  if (!Bound(in.heap, "list", args, {}).ok() || !iterate(in.heap, v, items)) return {};
  return seq_of(in, SeqKind::kList, items);
}

Value length(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "length", args, {}).ok()) return {};
  const int64_t n = length_of(in.heap, v);
  return n < 0 ? Value() : Value::integer(n);
}

Value first(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "first", args, {}).ok()) return {};
  static constexpr std::string_view kName = "the first item";
  if (v.is(Kind::kString) && !v.text().empty()) return in.get_item(v, Value::integer(0));
  if (v.is(Kind::kSeq)) {
    Seq* s = v.seq();
    const size_t at = s->flavour == SeqKind::kIterator ? s->taken++ : 0;
    if (at >= s->items.size() && s->error) return in.fail(*std::exchange(s->error, std::nullopt));
    return at < s->items.size() ? s->items[at] : Value::undefined(kName);
  }
  Vec<Value> items;
  if (!iterate(in.heap, v, items)) return {};
  return items.empty() ? Value::undefined(kName) : items[0];
}

bool reversible(const Value& v) {
  return v.is(Kind::kString) || v.is(Kind::kDict) || v.is_undefined() ||
         (v.is(Kind::kSeq) && v.seq()->flavour != SeqKind::kIterator);
}

Value last(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "last", args, {}).ok()) return {};
  static constexpr std::string_view kName = "the last item";
  if (v.is_undefined()) return Value::undefined(kName);
  if (!reversible(v)) return in.fail("'" + Text(type_name(v)) + "' object is not reversible");
  if (v.is(Kind::kSeq)) return v.seq()->items.empty() ? Value::undefined(kName) : v.seq()->items.back();
  if (v.is(Kind::kString) && !v.text().empty()) return in.get_item(v, Value::integer(-1));
  Vec<Value> items;
  if (!iterate(in.heap, v, items)) return {};
  return items.empty() ? Value::undefined(kName) : items.back();
}

Value reverse(Interp& in, const Value& v, const Args& args) {
  Vec<Value> items;
  if (!Bound(in.heap, "reverse", args, {}).ok()) return {};
  if (v.is(Kind::kString)) {
    Text out;
    const std::string_view s = v.text();
    in.heap.step_bytes(s.size());
    for (size_t end = s.size(); end > 0;) {
      size_t from = end - 1;
      while (from > 0 && (static_cast<unsigned char>(s[from]) & 0xC0) == 0x80) --from;
      out += s.substr(from, end - from);
      end = from;
    }
    return make_string(in.heap, std::move(out), v.str()->markup);
  }
  if (!iterate(in.heap, v, items)) return {};
  std::reverse(items.begin(), items.end());
  return seq_of(in, reversible(v) ? SeqKind::kIterator : SeqKind::kList, items);
}

Value join(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "join", args, {"d", "attribute"});
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, v, items)) return {};
  const Value glue = b.get(0) != nullptr ? as_string(in.heap, *b.get(0)) : in.string("");
  const AttrPath path(in, b.given(1) ? *b.get(1) : Value::none());
  AuthoredText out;
  for (size_t i = 0; i < items.size() && in.heap.step(); ++i) {
    if (i > 0) append_string(glue, out);
    append_value(in.heap, path.get(items[i]), out);
  }
  return in.heap.failed() ? Value() : in.string(std::move(out));
}

bool items_filter(Interp& in, const Value& v, const Args& args, Seq& out) {
  if (!Bound(in.heap, "items", args, {}).ok()) return false;
  if (v.is_undefined()) return true;
  if (!v.is(Kind::kDict)) {
    in.heap.fail("items needs a mapping");
    return true;
  }
  for (const auto& [key, value] : v.dict()->items) {
    out.push(make_pair(in.heap, key, value));
    if (!in.heap.step()) break;
  }
  return true;
}

struct Keyed {
  Value key, item;
};

// Stable, and safe whatever the keys compare like: an order that contradicts itself cannot lead a merge astray.
bool sort_keyed(Heap& heap, Vec<Keyed>& items, bool reverse) {
  Vec<Keyed> scratch(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t from = 0; from < items.size(); from += 2 * width) {
      const size_t middle = std::min(from + width, items.size());
      const size_t end = std::min(from + 2 * width, items.size());
      size_t a = from, b = middle;
      for (size_t out = from; out < end; ++out) {
        bool take_b = a == middle;
        if (!take_b && b < end) {
          take_b = reverse ? compare(heap, Compare::kLt, items[a].key, items[b].key)
                           : compare(heap, Compare::kLt, items[b].key, items[a].key);
        }
        if (heap.failed()) return false;
        scratch[out] = items[take_b ? b++ : a++];
      }
    }
    items.swap(scratch);
  }
  return true;
}

// The key of |sort: a list of one attribute or of several. Even one is kept in a list, as jinja2 does, because
// lists look for == before <, so that items which cannot be ordered, such as none, may stand beside their equals.
Value sort_key(Interp& in, const Vec<AttrPath>& paths, bool case_sensitive, const Value& item) {
  Value key = make_seq(in.heap, SeqKind::kList);
  for (const AttrPath& path : paths) {
    const Value v = path.get(item);
    key.seq()->push(case_sensitive ? v : ignore_case(in, v));
  }
  return key;
}

Vec<AttrPath> sort_paths(Interp& in, const Value& attribute) {
  Vec<AttrPath> out;
  if (!attribute.is(Kind::kString)) {
    out.emplace_back(in, attribute);
    return out;
  }
  std::string_view rest = attribute.text();
  while (in.heap.step(16)) {
    const size_t comma = std::min(rest.find(','), rest.size());
    out.emplace_back(in, in.string(Text(rest.substr(0, comma))));
    if (comma == rest.size()) break;
    rest.remove_prefix(comma + 1);
  }
  return out;
}

Value sort(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "sort", args, {"reverse", "case_sensitive", "attribute"});
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, v, items)) return {};
  const Vec<AttrPath> paths = sort_paths(in, b.given(2) ? *b.get(2) : Value::none());
  if (!in.heap.can_make(items.size() * 4 * sizeof(Value))) return {};
  Vec<Keyed> keyed;
  for (const Value& item : items) {
    keyed.push_back({sort_key(in, paths, b.flag(1, false), item), item});
    if (in.heap.failed()) return {};
  }
  if (!sort_keyed(in.heap, keyed, b.flag(0, false))) return {};
  Value out = make_seq(in.heap, SeqKind::kList);
  for (Keyed& k : keyed) out.seq()->push(std::move(k.item));
  return out;
}

Value dictsort(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "dictsort", args, {"case_sensitive", "by", "reverse"});
  if (!b.ok()) return {};
  const std::string_view by = b.text(1, "key");
  if (by != "key" && by != "value") return in.fail("dictsort sorts by key or value");
  if (!v.is(Kind::kDict)) return in.fail(v.is_undefined() ? v.undefined_message() : "dictsort needs a mapping");
  Vec<Keyed> keyed;
  for (const auto& [key, value] : v.dict()->items) {
    const Value& chosen = by == "key" ? key : value;
    keyed.push_back({b.flag(0, false) ? chosen : ignore_case(in, chosen), make_pair(in.heap, key, value)});
    if (!in.heap.step()) return {};
  }
  if (!sort_keyed(in.heap, keyed, b.flag(2, false))) return {};
  Value out = make_seq(in.heap, SeqKind::kList);
  for (Keyed& k : keyed) out.seq()->push(std::move(k.item));
  return out;
}

bool unique(Interp& in, const Value& v, const Args& args, Seq& out) {
  Bound b(in.heap, "unique", args, {"case_sensitive", "attribute"});
  Vec<Value> items;
  if (!b.ok()) return false;
  iterate(in.heap, v, items);
  const AttrPath path(in, b.given(1) ? *b.get(1) : Value::none());
  const Value seen = make_dict(in.heap);
  for (const Value& item : items) {
    if (!in.heap.step()) break;
    Value key = path.get(item);
    if (!b.flag(0, false)) key = ignore_case(in, key);
    if (!hashable(key)) in.heap.fail("unhashable type: '" + Text(type_name(key)) + "'");
    if (in.heap.failed()) break;
    if (seen.dict()->find(key) != nullptr) continue;
    seen.dict()->set(key, Value::none());
    out.push(item);
  }
  return true;
}

template <bool kMax>
Value extreme(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, kMax ? "max" : "min", args, {"case_sensitive", "attribute"});
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, v, items)) return {};
  static constexpr std::string_view kName = kMax ? "the largest item" : "the smallest item";
  if (items.empty()) return Value::undefined(kName);
  const AttrPath path(in, b.given(1) ? *b.get(1) : Value::none());
  const auto key_of = [&](const Value& item) {
    return b.flag(0, false) ? path.get(item) : ignore_case(in, path.get(item));
  };
  size_t best = 0;
  Value best_key = key_of(items[0]);
  for (size_t i = 1; i < items.size() && !in.heap.failed(); ++i) {
    Value key = key_of(items[i]);
    if (!compare(in.heap, kMax ? Compare::kGt : Compare::kLt, key, best_key)) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Value sum(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "sum", args, {"attribute", "start"});
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, v, items)) return {};
  const AttrPath path(in, b.given(0) ? *b.get(0) : Value::none());
  Value total = b.get(1) != nullptr ? *b.get(1) : Value::integer(0);
  if (total.is(Kind::kString)) return in.fail("sum cannot add strings; use join");
  for (const Value& item : items) {
    total = arithmetic(in.heap, Arith::kAdd, total, path.get(item));
    if (!in.heap.step()) return {};
  }
  return total;
}

bool batch(Interp& in, const Value& v, const Args& args, Seq& out) {
  Bound b(in.heap, "batch", args, {"linecount", "fill_with"}, 1);
  Vec<Value> items;
  if (!b.ok()) return false;
  if (!iterate(in.heap, v, items) || items.empty()) return true;
  // Python compares the length of a row with whatever was given; what is no number never equals it.
  const int64_t size = b.get(0)->is_number() ? static_cast<int64_t>(std::clamp(b.get(0)->real(), -1.0, 1e9)) : -1;
  Value row = make_seq(in.heap, SeqKind::kList);
  for (const Value& item : items) {
    if (static_cast<int64_t>(row.seq()->items.size()) == size) {
      out.push(row);
      row = make_seq(in.heap, SeqKind::kList);
    }
    row.seq()->push(item);
    if (!in.heap.step()) return true;
  }
  const int64_t missing = b.given(1) ? b.integer(0, 1) - static_cast<int64_t>(row.seq()->items.size()) : 0;
  if (missing > 0 && row.seq()->reserve(static_cast<uint64_t>(missing))) {
    for (int64_t i = 0; i < missing; ++i) row.seq()->push(*b.get(1));
  }
  if (!in.heap.failed()) out.push(row);
  return true;
}

bool slice(Interp& in, const Value& v, const Args& args, Seq& out) {
  Bound b(in.heap, "slice", args, {"slices", "fill_with"}, 1);
  Vec<Value> items;
  if (!b.ok()) return false;
  if (!iterate(in.heap, v, items)) return true;
  const int64_t slices = b.integer(0, 1);
  if (slices == 0) in.heap.fail("slice: division by zero");
  const int64_t size = static_cast<int64_t>(items.size());
  int64_t at = 0;
  for (int64_t i = 0; i < slices && in.heap.step(); ++i) {
    const Value row = make_seq(in.heap, SeqKind::kList);
    const bool extra = i < size % slices;
    for (int64_t n = size / slices + (extra ? 1 : 0); n > 0; --n) row.seq()->push(items[static_cast<size_t>(at++)]);
    if (b.given(1) && !extra) row.seq()->push(*b.get(1));
    out.push(row);
  }
  return true;
}

Value groupby(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, v, items)) return {};
  AttrPath path(in, *b.get(0));
  if (b.given(1)) path.set_default(b.get(1));
  const bool sensitive = b.flag(2, false);
  Vec<Keyed> keyed;
  for (const Value& item : items) {
    const Value key = path.get(item);
    keyed.push_back({sensitive ? key : ignore_case(in, key), item});
    if (!in.heap.step()) return {};
  }
  if (!sort_keyed(in.heap, keyed, false)) return {};
  Value out = make_seq(in.heap, SeqKind::kList);
  for (size_t i = 0; i < keyed.size() && in.heap.step(); ++i) {
    if (i == 0 || !equals(in.heap, keyed[i - 1].key, keyed[i].key)) {
      Value group = make_seq(in.heap, SeqKind::kGroup);
      group.seq()->push(sensitive ? keyed[i].key : path.get(keyed[i].item));
      group.seq()->push(make_seq(in.heap, SeqKind::kList));
      out.seq()->push(std::move(group));
    }
    out.seq()->items.back().seq()->items[1].seq()->push(keyed[i].item);
  }
  return out;
}

}  // namespace

FilterFn find_sequence_filter(std::string_view name) {
  static constexpr FilterEntry kFilters[] = {{"length", length},
                                             {"count", length},
                                             {"join", join},
                                             {"list", list},
                                             {"first", first},
                                             {"last", last},
                                             {"items", lazy<items_filter>},
                                             {"sort", sort},
                                             {"dictsort", dictsort},
                                             {"unique", lazy<unique>},
                                             {"reverse", reverse},
                                             {"min", extreme<false>},
                                             {"max", extreme<true>},
                                             {"sum", sum},
                                             {"batch", lazy<batch>},
                                             {"slice", lazy<slice>},
                                             {"groupby", groupby}};
  for (const FilterEntry& f : kFilters) {
    if (f.name == name) return f.fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
