#include "text/jinja/value.h"

#include "text/jinja/compare.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {

Str::Str(Heap& heap, Text&& s) : Object(heap), text(std::move(s)), ascii(is_ascii(text)) {}

bool Seq::reserve(uint64_t count) {
  if (count > heap->limits().heap_bytes || !heap->can_make(count * sizeof(Value))) {
    heap->fail("the template asks for a list of " + number_text(count) + " items");
    return false;
  }
  items.reserve(items.size() + count);
  return true;
}

bool KeyLess::operator()(const Value* a, const Value* b) const { return key_order(*a, *b) < 0; }

void Dict::build_index() {
  heap->step(static_cast<int64_t>(items.size()));
  owned.clear();
  index.clear();
  owned.reserve(items.size() * 2);
  for (size_t i = 0; i < items.size(); ++i) {
    owned.push_back(items[i].first);
    index.emplace(&owned.back(), i);
  }
}

int64_t Dict::locate(const Value& key) {
  if (items.size() <= kScanLimit) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (key_order(items[i].first, key) == 0) return static_cast<int64_t>(i);
    }
    return -1;
  }
  if (index.size() != items.size()) build_index();
  const auto it = index.find(&key);
  return it == index.end() ? -1 : static_cast<int64_t>(it->second);
}

Value* Dict::find(const Value& key) {
  const int64_t i = locate(key);
  return i < 0 ? nullptr : &items[static_cast<size_t>(i)].second;
}

Value* Dict::find(std::string_view key) {
  if (items.size() > kScanLimit) {
    Value v = make_string(*heap, Text(key));
    return find(v);
  }
  for (auto& [k, v] : items) {
    if (k.is(Kind::kString) && k.text() == key) return &v;
  }
  return nullptr;
}

void Dict::set(Value key, Value v) {
  if (Value* old = find(key)) {
    *old = std::move(v);
    return;
  }
  const bool indexed = items.size() > kScanLimit && index.size() == items.size();
  items.emplace_back(std::move(key), std::move(v));
  if (!indexed) return;
  if (owned.size() == owned.capacity()) return;  // growing would move the keys: the next look-up rebuilds
  owned.push_back(items.back().first);
  index.emplace(&owned.back(), items.size() - 1);
}

bool Dict::erase(const Value& key) {
  const int64_t i = locate(key);
  if (i < 0) return false;
  heap->step(1 + static_cast<int64_t>(items.size() / 16));
  items.erase(items.begin() + i);
  index.clear();
  owned.clear();
  return true;
}

void Dict::clear() {
  index.clear();
  owned.clear();
  items.clear();
}

Value make_string(Heap& heap, Text text, bool markup) {
  heap.step_bytes(text.size());
  Str* s = heap.make<Str>(std::move(text));
  s->markup = markup;
  return Value::object(Kind::kString, s);
}

Value make_string(Heap& heap, AuthoredText text, bool markup) {
  Value v = make_string(heap, std::move(text.text), markup);
  v.str()->authored = std::move(text.authored);
  return v;
}

Value part_of(const Value& string, std::string_view part) {
  const Str* whole = string.str();
  const auto begin = static_cast<size_t>(part.data() - whole->text.data());
  Value v = make_string(*whole->heap, Text(part), whole->markup);
  v.str()->authored = whole->authored.part(begin, begin + part.size());
  return v;
}

Value mapped_from(const Value& string, Text text, bool markup) {
  const Str* from = string.str();
  Value v = make_string(*from->heap, std::move(text), markup);
  if (from->authored.covers(0, from->text.size())) mark_authored(v);
  return v;
}

void append_string(const Value& string, AuthoredText& out) {
  out.append_part(string.text(), string.str()->authored, 0, string.text().size());
}

void mark_authored(const Value& string) {
  Str* s = string.str();
  s->authored = Authored();
  s->authored.add(0, s->text.size());
}

Value make_seq(Heap& heap, SeqKind flavour) { return Value::object(Kind::kSeq, heap.make<Seq>(flavour)); }

Value make_pair(Heap& heap, Value a, Value b) {
  Value v = make_seq(heap, SeqKind::kTuple);
  v.seq()->items.reserve(2);
  v.seq()->push(std::move(a));
  v.seq()->push(std::move(b));
  return v;
}

Value make_dict(Heap& heap) { return Value::object(Kind::kDict, heap.make<Dict>()); }

bool truthy(const Value& v) {
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return v.integer() != 0;
    case Kind::kFloat:
      return v.real() != 0;
    case Kind::kString:
      return !v.text().empty();
    case Kind::kSeq:
      return v.seq()->flavour == SeqKind::kIterator || !v.seq()->items.empty();
    case Kind::kDict:
      return !v.dict()->items.empty();
    default:
      return true;
  }
}

namespace {
bool hashable_at(const Value& v, int depth) {
  if (v.is(Kind::kDict)) return false;
  if (!v.is(Kind::kSeq)) return true;
  if (!v.seq()->tuple_like()) return v.seq()->flavour != SeqKind::kList && v.seq()->flavour != SeqKind::kItems;
  if (depth > kMaxValueDepth) return false;
  for (const Value& item : v.seq()->items) {
    if (!v.object()->heap->step() || !hashable_at(item, depth + 1)) return false;
  }
  return true;
}
}  // namespace

bool hashable(const Value& v) { return hashable_at(v, 0); }

std::string_view type_name(const Value& v) {
  switch (v.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
    case Kind::kBigInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kMacro:
      return "Macro";
    case Kind::kBuiltin:
      return "function";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCycler:
      return "Cycler";
    case Kind::kSeq:
      break;
  }
  switch (v.seq()->flavour) {
    case SeqKind::kList:
      return "list";
    case SeqKind::kTuple:
      return "tuple";
    case SeqKind::kGroup:
      return "tuple";
    case SeqKind::kRange:
      return "range";
    case SeqKind::kKeys:
      return "dict_keys";
    case SeqKind::kValues:
      return "dict_values";
    case SeqKind::kItems:
      return "dict_items";
    case SeqKind::kIterator:
      return "generator";
  }
  return "object";
}

Text Value::undefined_message() const {
  const Text name(data_.name == nullptr ? "value" : std::string_view(data_.name, name_bytes_));
  const Kind owner = static_cast<Kind>(owner_ & ~kUnsafe);
  if ((owner_ & kUnsafe) != 0) return "access to attribute '" + name + "' is not allowed in a template";
  if (owner == Kind::kMissing) return "'" + name + "' is undefined";
  const char* what = "object";
  if (owner == Kind::kDict) what = "dict object";
  if (owner == Kind::kString) what = "str object";
  if (owner == Kind::kSeq) what = "list object";
  if (owner == Kind::kNone) what = "None";
  return Text("'") + what + "' has no attribute '" + name + "'";
}

int64_t char_count(const Value& string) {
  Str* s = string.str();
  if (s->ascii) return static_cast<int64_t>(s->text.size());
  if (s->chars < 0) {
    s->heap->step_bytes(s->text.size());
    s->chars = static_cast<int64_t>(count_chars(s->text));
  }
  return s->chars;
}

bool is_iterable(const Value& v) {
  return v.is_undefined() || v.is(Kind::kString) || v.is(Kind::kSeq) || v.is(Kind::kDict) || v.is(Kind::kLoop);
}

bool iterate(Heap& heap, const Value& v, Vec<Value>& out) {
  if (v.is_undefined()) return !heap.failed();
  if (v.is(Kind::kString)) {
    std::string_view s = v.text();
    if (!heap.can_make(static_cast<uint64_t>(char_count(v)) * (sizeof(Value) + sizeof(Str)))) return false;
    for (size_t i = 0; i < s.size();) {
      const size_t n = char_bytes(s, i);
      out.push_back(part_of(v, s.substr(i, n)));
      out.back().str()->markup = false;  // characters of a Markup are plain strings in Python
      if (heap.failed()) return false;
      i += n;
    }
    return true;
  }
  if (v.is(Kind::kSeq)) {
    Seq* seq = v.seq();
    if (!heap.step(1 + static_cast<int64_t>(seq->items.size() / 8))) return false;
    const size_t from = seq->flavour == SeqKind::kIterator ? std::exchange(seq->taken, seq->items.size()) : 0;
    out.insert(out.end(), seq->items.begin() + static_cast<std::ptrdiff_t>(from), seq->items.end());
    if (seq->error) heap.fail(*std::exchange(seq->error, std::nullopt));
    return !heap.failed();
  }
  if (v.is(Kind::kDict)) {
    if (!heap.step(1 + static_cast<int64_t>(v.dict()->items.size() / 8))) return false;
    for (const auto& [key, value] : v.dict()->items) out.push_back(key);
    return true;
  }
  heap.fail("'" + Text(type_name(v)) + "' object is not iterable");
  return false;
}

int64_t length_of(Heap& heap, const Value& v) {
  if (v.is_undefined()) return 0;
  if (v.is(Kind::kString)) return char_count(v);
  if (v.is(Kind::kDict)) return static_cast<int64_t>(v.dict()->items.size());
  if (v.is(Kind::kSeq) && v.seq()->flavour != SeqKind::kIterator)
    return static_cast<int64_t>(v.seq()->items.size());
  heap.fail("object of type '" + Text(type_name(v)) + "' has no len()");
  return -1;
}

}  // namespace weir::jinja
