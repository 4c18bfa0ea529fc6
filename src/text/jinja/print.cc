#include "text/jinja/print.h"

#include <algorithm>
#include <cstdio>

#include "text/jinja/number.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

struct Printer {
  Heap& heap;
  Text& out;
  Vec<const Object*> path;  // what is being printed, outermost first

  bool enter(const Object* object, const char* loop_text) {
    if (std::find(path.begin(), path.end(), object) != path.end()) {
      out += loop_text;
      return false;
    }
    if (path.size() > static_cast<size_t>(kMaxValueDepth)) heap.fail("a value is nested too deeply to print");
    if (heap.failed()) return false;
    path.push_back(object);
    return true;
  }

  void list(const Vec<Value>& items, const char* open, const char* close) {
    out += open;
    for (size_t i = 0; i < items.size() && heap.step(); ++i) {
      if (i > 0) out += ", ";
      repr(items[i]);
    }
    out += close;
  }

  void seq(Seq* s) {
    switch (s->flavour) {
      case SeqKind::kList:
        if (enter(s, "[...]")) list(s->items, "[", "]"), path.pop_back();
        return;
      case SeqKind::kTuple:
      case SeqKind::kGroup:
        if (enter(s, "(...)")) list(s->items, "(", s->items.size() == 1 ? ",)" : ")"), path.pop_back();
        return;
      case SeqKind::kRange:
        out += "range(" + number_text(s->start) + ", " + number_text(s->stop);
        if (s->jump != 1) out += ", " + number_text(s->jump);
        out += ")";
        return;
      case SeqKind::kIterator:
        out += "<generator object>";
        return;
      default:
        break;
    }
    if (!enter(s, "...")) return;
    out += type_name(Value::object(Kind::kSeq, s));
    list(s->items, "([", "])");
    path.pop_back();
  }

  void dict(Dict* d) {
    if (!enter(d, "{...}")) return;
    out += "{";
    for (size_t i = 0; i < d->items.size() && heap.step(); ++i) {
      if (i > 0) out += ", ";
      repr(d->items[i].first);
      out += ": ";
      repr(d->items[i].second);
    }
    out += "}";
    path.pop_back();
  }

  void repr(const Value& v) {
    if (heap.failed()) return;
    switch (v.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined:
        out += "Undefined";
        return;
      case Kind::kNone:
        out += "None";
        return;
      case Kind::kBool:
        out += v.boolean() ? "True" : "False";
        return;
      case Kind::kInt:
        out += number_text(v.integer());
        return;
      case Kind::kFloat:
        out += float_repr(v.real());
        return;
      case Kind::kBigInt:
        out += v.text();
        return;
      case Kind::kString:
        heap.step_bytes(v.text().size());
        if (v.str()->markup) out += "Markup(";
        append_string_repr(v.text(), out);
        if (v.str()->markup) out += ")";
        return;
      case Kind::kSeq:
        seq(v.seq());
        return;
      case Kind::kDict:
        dict(v.dict());
        return;
      case Kind::kNamespace:
        out += "<Namespace ";
        dict(v.dict());
        out += ">";
        return;
      default:
        out += "<";
        out += type_name(v);
        out += ">";
    }
  }
};

void append_escape(uint32_t c, Text& out) {
  char buffer[16];
  const char* form = c < 0x100 ? "\\x%02x" : (c < 0x10000 ? "\\u%04x" : "\\U%08x");
  out.append(buffer, static_cast<size_t>(std::snprintf(buffer, sizeof(buffer), form, c)));
}

}  // namespace

void append_string_repr(std::string_view text, Text& out) {
  const bool single = text.find('\'') != text.npos;
  const char quote = single && text.find('"') == text.npos ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    const size_t n = char_bytes(text, i);
    const uint32_t c = char_at(text, i);
    if (c == static_cast<uint32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += text.substr(i, n);
    } else {
      append_escape(c, out);
    }
    i += n;
  }
  out += quote;
}

void append_repr(Heap& heap, const Value& v, Text& out) {
  Printer printer{heap, out, {}};
  printer.repr(v);
}

void append_str(Heap& heap, const Value& v, Text& out) {
  if (v.is(Kind::kString)) {
    heap.step_bytes(v.text().size());
    out += v.text();
  } else if (!v.is_undefined()) {
    append_repr(heap, v, out);
  }
}

void append_value(Heap& heap, const Value& v, AuthoredText& out) {
  const size_t at = out.text.size();
  append_str(heap, v, out.text);
  if (v.is(Kind::kString)) out.authored.add_part(v.str()->authored, 0, v.text().size(), at);
  if (v.is_int_like()) out.authored.add(at, out.text.size());
}

Text to_str(Heap& heap, const Value& v) {
  Text out;
  append_str(heap, v, out);
  return out;
}

Text to_repr(Heap& heap, const Value& v) {
  Text out;
  append_repr(heap, v, out);
  return out;
}

Value as_string(Heap& heap, const Value& v) { return v.is(Kind::kString) ? v : make_string(heap, to_str(heap, v)); }

}  // namespace weir::jinja
