#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja/compare.h"
#include "text/jinja/json.h"
#include "text/jinja/number.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

void append_u(Text& out, uint32_t unit) {
  char buffer[8];
  out.append(buffer, static_cast<size_t>(std::snprintf(buffer, sizeof(buffer), "\\u%04x", unit & 0xFFFF)));
}

void append_quoted(Text& out, std::string_view s, bool ensure_ascii) {
  out += '"';
  for (size_t i = 0; i < s.size();) {
    const size_t n = char_bytes(s, i);
    const uint32_t c = char_at(s, i);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c >= 0x10000 && ensure_ascii) {
          append_u(out, 0xD800 + ((c - 0x10000) >> 10));
          append_u(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
        } else if (c < 0x20 || (c >= 0x7F && ensure_ascii && c != 0x7F)) {
          append_u(out, c);
        } else {
          out += s.substr(i, n);
        }
    }
    i += n;
  }
  out += '"';
}

Text json_float(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
  return float_repr(d);
}

class Writer {
 public:
  Writer(Heap& heap, const JsonStyle& style) : heap_(heap), style_(style) {}

  void value(const Value& v) {
    if (!heap_.step()) return;
    if (scalar(v)) return;
    if (v.is(Kind::kString)) {
      heap_.step_bytes(v.text().size());
      append_quoted(out, v.text(), style_.ensure_ascii);
    } else if (v.is(Kind::kSeq) && (v.seq()->flavour == SeqKind::kList || v.seq()->tuple_like())) {
      if (enter(v.object())) array(v.seq()), path_.pop_back();
    } else if (v.is(Kind::kDict)) {
      if (enter(v.object())) object(v.dict()), path_.pop_back();
    } else {
      heap_.fail("object of type " + Text(type_name(v)) + " is not JSON serializable" +
                 (v.is_undefined() ? ": " + v.undefined_message() : ""));
    }
  }

  Text out;

 private:
  bool scalar(const Value& v) {
    switch (v.kind()) {
      case Kind::kNone:
        out += "null";
        return true;
      case Kind::kBool:
        out += v.boolean() ? "true" : "false";
        return true;
      case Kind::kInt:
        out += number_text(v.integer());
        return true;
      case Kind::kBigInt:
        out += v.text();
        return true;
      case Kind::kFloat:
        out += json_float(v.real());
        return true;
      default:
        return false;
    }
  }

  bool enter(const Object* object) {
    if (std::find(path_.begin(), path_.end(), object) != path_.end())
      heap_.fail("a value that holds itself is not JSON");
    if (path_.size() > static_cast<size_t>(kMaxValueDepth)) heap_.fail("a value is nested too deeply for JSON");
    if (heap_.failed()) return false;
    path_.push_back(object);
    return true;
  }

  void new_line(size_t level) {
    if (!style_.indent) return;
    out += '\n';
    heap_.step_bytes(level * style_.indent->size());
    for (size_t i = 0; i < level && !heap_.failed(); ++i) out += *style_.indent;
  }

  void array(Seq* s) {
    if (s->items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (size_t i = 0; i < s->items.size() && !heap_.failed(); ++i) {
      if (i > 0) out += style_.item_separator;
      new_line(path_.size());
      value(s->items[i]);
    }
    new_line(path_.size() - 1);
    out += ']';
  }

  void key(const Value& k) {
    if (k.is(Kind::kString)) {
      append_quoted(out, k.text(), style_.ensure_ascii);
      return;
    }
    out += '"';
    if (!scalar(k)) heap_.fail("JSON keys must be strings, numbers, booleans or none, not " + Text(type_name(k)));
    out += '"';
  }

  void object(Dict* d) {
    if (d->items.empty()) {
      out += "{}";
      return;
    }
    Vec<const std::pair<Value, Value>*> order;
    for (const auto& item : d->items) order.push_back(&item);
    if (style_.sort_keys) sort(order);
    out += '{';
    for (size_t i = 0; i < order.size() && !heap_.failed(); ++i) {
      if (i > 0) out += style_.item_separator;
      new_line(path_.size());
      key(order[i]->first);
      out += style_.key_separator;
      value(order[i]->second);
    }
    new_line(path_.size() - 1);
    out += '}';
  }

  void sort(Vec<const std::pair<Value, Value>*>& order) {
    for (size_t i = 1; i < order.size() && heap_.step(4); ++i) {  // fails the render for keys of mixed types
      compare(heap_, Compare::kLt, order[i - 1]->first, order[i]->first);
    }
    if (heap_.failed()) return;
    std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return key_order(a->first, b->first) < 0; });
  }

  Heap& heap_;
  const JsonStyle& style_;
  Vec<const Object*> path_;
};

}  // namespace

Text dump_json(Heap& heap, const Value& v, const JsonStyle& style) {
  Writer writer(heap, style);
  writer.value(v);
  return std::move(writer.out);
}

}  // namespace weir::jinja
