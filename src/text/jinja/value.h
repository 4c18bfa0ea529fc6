// Value: what a template computes with. Sixteen bytes, cheap to copy; objects behind it are reference counted.
//
// The kinds follow Python, because templates are written against Python's behaviour: ints are exact (here 64 bits;
// larger ones from JSON are carried as text and can be printed and compared, never computed with), lists, tuples,
// ranges, dict views and generators are all a Seq with a different flavour. Owner: one render (heap.h), one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "text/authored.h"
#include "text/jinja/heap.h"

namespace weir::jinja {

// Inside a render these too are bytes of its heap.
using Authored = BasicAuthored<HeapAllocator<AuthoredStretch>>;
using AuthoredText = BasicAuthoredText<Text, Authored>;

enum class Kind : uint8_t {
  kMissing,    // internal: "no such variable"; never reaches a template
  kUndefined,  // prints as nothing; most other uses are errors
  kNone,
  kBool,
  kInt,
  kFloat,
  kBigInt,  // from here on an Object is behind the value
  kString,
  kSeq,
  kDict,
  kNamespace,
  kMacro,
  kBuiltin,
  kLoop,
  kCycler,
};

struct Str;
struct Seq;
struct Dict;

class Value {
 public:
  Value() : kind_(Kind::kUndefined) { data_.name = nullptr; }
  Value(const Value& other)
      : kind_(other.kind_), owner_(other.owner_), name_bytes_(other.name_bytes_), data_(other.data_) {
    ref();
  }
  Value(Value&& other) noexcept
      : kind_(other.kind_), owner_(other.owner_), name_bytes_(other.name_bytes_), data_(other.data_) {
    other.kind_ = Kind::kUndefined;
    other.data_.name = nullptr;
  }
  Value& operator=(Value other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(owner_, other.owner_);
    std::swap(name_bytes_, other.name_bytes_);
    std::swap(data_, other.data_);
    return *this;
  }
  ~Value() {
    if (has_object()) drop_ref(data_.object);
  }

  static Value missing() { return of(Kind::kMissing); }
  static Value none() { return of(Kind::kNone); }
  static Value boolean(bool b) {
    Value v = of(Kind::kBool);
    v.data_.integer = b ? 1 : 0;
    return v;
  }
  static Value integer(int64_t i) {
    Value v = of(Kind::kInt);
    v.data_.integer = i;
    return v;
  }
  static Value real(double d) {
    Value v = of(Kind::kFloat);
    v.data_.real = d;
    return v;
  }
  static Value object(Kind kind, Object* o) {
    Value v = of(kind);
    v.data_.object = o;
    add_ref(o);
    return v;
  }
  // An undefined that remembers what was looked up, for the error message. `name` outlives the render.
  // owner: the kind it was looked up in, kMissing for a plain variable.
  static Value undefined(std::string_view name, Kind owner = Kind::kMissing, bool unsafe = false) {
    Value v;
    v.data_.name = name.data();
    v.name_bytes_ = static_cast<uint32_t>(std::min<size_t>(name.size(), UINT32_MAX));
    v.owner_ = static_cast<uint8_t>(static_cast<uint8_t>(owner) | (unsafe ? kUnsafe : 0));
    return v;
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_int_like() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_int_like() || kind_ == Kind::kFloat; }
  bool has_object() const { return kind_ >= Kind::kBigInt; }
  bool boolean() const { return data_.integer != 0; }
  int64_t integer() const { return data_.integer; }  // REQUIRES: is_int_like()
  double real() const { return kind_ == Kind::kFloat ? data_.real : static_cast<double>(data_.integer); }
  Object* object() const { return has_object() ? data_.object : nullptr; }
  Str* str() const;    // REQUIRES: kString or kBigInt
  Seq* seq() const;    // REQUIRES: kSeq
  Dict* dict() const;  // REQUIRES: kDict or kNamespace
  std::string_view text() const;
  Text undefined_message() const;

 private:
  static constexpr uint8_t kUnsafe = 0x80;
  static Value of(Kind kind) {
    Value v;
    v.kind_ = kind;
    return v;
  }
  void ref() {
    if (has_object()) add_ref(data_.object);
  }

  Kind kind_;
  uint8_t owner_ = 0;
  uint32_t name_bytes_ = 0;  // kUndefined: of data_.name
  union {
    int64_t integer;
    double real;
    Object* object;
    const char* name;  // kUndefined: what was looked up; null when it had no name
  } data_;
};

// UTF-8 text. Positions in a template are code points, so `ascii` decides whether bytes and characters agree.
struct Str : Object {
  Str(Heap& heap, Text&& s);
  const Text text;
  const bool ascii;
  bool markup = false;  // passed through |safe or |escape: "+" then escapes its other side
  int64_t chars = -1;   // code points, counted on first use
  Authored authored;    // what the template itself wrote of it; where a filter cannot tell, nothing
};

enum class SeqKind : uint8_t { kList, kTuple, kRange, kKeys, kValues, kItems, kIterator, kGroup };

struct Seq : Object {
  Seq(Heap& heap, SeqKind k) : Object(heap), flavour(k) {}
  void drop() override { items.clear(); }
  void push(Value v) { items.push_back(std::move(v)); }
  bool reserve(uint64_t count);  // RETURNS: false (and fails the render) when it cannot fit
  bool indexable() const { return flavour <= SeqKind::kRange || flavour == SeqKind::kGroup; }
  bool tuple_like() const { return flavour == SeqKind::kTuple || flavour == SeqKind::kGroup; }
  Vec<Value> items;
  SeqKind flavour;
  size_t taken = 0;                       // kIterator: how many were consumed
  std::optional<std::string_view> error;  // kIterator: what reading past the items fails with
  int64_t start = 0, stop = 0, jump = 1;  // kRange: as printed
};

// Total order over hashable values, equal where Python's == is; keeps large dicts searchable without hashing,
// so that no chosen set of keys can make them slow.
struct KeyLess {
  bool operator()(const Value* a, const Value* b) const;
};

// Insertion-ordered dict; also the body of a namespace.
struct Dict : Object {
  explicit Dict(Heap& heap) : Object(heap) {}
  void drop() override { clear(); }
  Value* find(const Value& key);
  Value* find(std::string_view key);
  void set(Value key, Value v);
  bool erase(const Value& key);
  void clear();
  Vec<std::pair<Value, Value>> items;

 private:
  static constexpr size_t kScanLimit = 8;  // below this a scan beats the index
  int64_t locate(const Value& key);
  using Index = std::map<const Value*, size_t, KeyLess, HeapAllocator<std::pair<const Value* const, size_t>>>;
  Index index;       // empty while small or stale; keys point into `owned`
  Vec<Value> owned;  // copies, since items moves as it grows
  void build_index();
};

inline Str* Value::str() const { return static_cast<Str*>(data_.object); }
inline Seq* Value::seq() const { return static_cast<Seq*>(data_.object); }
inline Dict* Value::dict() const { return static_cast<Dict*>(data_.object); }
inline std::string_view Value::text() const { return str()->text; }

Value make_string(Heap& heap, Text text, bool markup = false);
Value make_string(Heap& heap, AuthoredText text, bool markup = false);
Value part_of(const Value& string, std::string_view part);       // part: points into the string
Value mapped_from(const Value& string, Text text, bool markup);  // the author's when all of the string was
void append_string(const Value& string, AuthoredText& out);
void mark_authored(const Value& string);  // all of it
Value make_seq(Heap& heap, SeqKind flavour);
Value make_pair(Heap& heap, Value a, Value b);
Value make_dict(Heap& heap);

bool truthy(const Value& v);
bool hashable(const Value& v);
std::string_view type_name(const Value& v);  // Python's word: "str", "int", "NoneType"
int64_t char_count(const Value& string);
// What is left of a sequence, or all of it; consumes generators. Fails the render for values that do not iterate.
bool iterate(Heap& heap, const Value& v, Vec<Value>& out);
bool is_iterable(const Value& v);
int64_t length_of(Heap& heap, const Value& v);  // -1 and a failed render where Python has no len()

}  // namespace weir::jinja
