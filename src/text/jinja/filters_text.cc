// Filters that make text or numbers out of one value.
#include <algorithm>
#include <cmath>

#include "text/jinja/filters.h"
#include "text/jinja/format.h"
#include "text/jinja/json.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/search.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

// Applies a string method to str(value), keeping markup.
Value through(Interp& in, const char* method, const Value& v, const Args& args) {
  return find_string_method(method)->fn(in, as_string(in.heap, v), args);
}

Value upper(Interp& in, const Value& v, const Args& args) { return through(in, "upper", v, args); }
Value lower(Interp& in, const Value& v, const Args& args) { return through(in, "lower", v, args); }
Value capitalize(Interp& in, const Value& v, const Args& args) { return through(in, "capitalize", v, args); }

Value trim(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "trim", args, {"chars"});
  Args passed;
  if (b.given(0)) passed.positional.push_back(*b.get(0));
  return b.ok() ? through(in, "strip", v, passed) : Value();
}

Value center(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "center", args, {"width"});
  Args passed;
  passed.positional.push_back(b.ok() && b.get(0) != nullptr ? *b.get(0) : Value::integer(80));
  return b.ok() ? through(in, "center", v, passed) : Value();
}

// Jinja's own |title: words begin after white space, "-" and opening brackets, and only there.
Value title(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "title", args, {}).ok()) return {};
  const Text s = to_str(in.heap, v);
  const auto separates = [](uint32_t c) {
    return is_space(c) || std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos;
  };
  Text out;
  for (size_t i = 0; i < s.size() && in.heap.step();) {
    size_t end = i;
    while (end < s.size() && !(char_at(s, end) < 0x80 ? separates(char_at(s, end)) : is_space(char_at(s, end))))
      end += char_bytes(s, end);
    if (end > i) {
      const size_t n = char_bytes(s, i);
      out += to_upper(std::string_view(s).substr(i, n)) + to_lower(std::string_view(s).substr(i + n, end - i - n));
      i = end;
    } else {
      const size_t n = char_bytes(s, i);
      out += s.substr(i, n);
      i += n;
    }
  }
  return v.is(Kind::kString) ? mapped_from(v, std::move(out), false) : in.string(std::move(out));
}

Value string(Interp& in, const Value& v, const Args& args) {
  return Bound(in.heap, "string", args, {}).ok() ? as_string(in.heap, v) : Value();
}

Value replace(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "replace", args, {"old", "new", "count"}, 2);
  if (!b.ok()) return {};
  const int64_t count = b.given(2) ? b.integer(2, -1) : -1;
  const Text from = to_str(in.heap, *b.get(0));
  const Value to = as_string(in.heap, *b.get(1));
  const Value text = as_string(in.heap, v);
  if (in.heap.failed()) return {};
  return in.string(replace_all(in.heap, text, from, to, count));
}

Value format(Interp& in, const Value& v, const Args& args) {
  if (!args.positional.empty() && !args.keyword.empty())
    return in.fail("format takes positional or named values, not both");
  Value values = args.keyword.empty() ? make_seq(in.heap, SeqKind::kTuple) : make_dict(in.heap);
  for (const Value& each : args.positional) values.seq()->push(each);
  for (const auto& [key, value] : args.keyword) values.dict()->set(in.string(key), value);
  return percent_format(in.heap, as_string(in.heap, v), values);
}

Value indent(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "indent", args, {"width", "first", "blank"});
  if (!b.ok()) return {};
  if (!v.is(Kind::kString)) return in.fail(v.is_undefined() ? v.undefined_message() : "indent needs a string");
  Text pad;
  if (b.get(0) != nullptr && b.get(0)->is(Kind::kString)) {
    pad = Text(b.get(0)->text());
  } else {
    const int64_t width = std::max<int64_t>(0, b.integer(0, 4));
    if (!in.heap.can_make(static_cast<uint64_t>(width))) return {};
    pad.assign(static_cast<size_t>(width), ' ');
  }
  const Text text = Text(v.text()) + "\n";
  Text out;
  bool first_line = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first_line) out += '\n';
    const bool wanted = first_line ? b.flag(1, false) : (b.flag(2, false) || !line.empty());
    if (wanted) out += pad;
    out += line;
    first_line = false;
    if (!in.heap.step_bytes(pad.size())) return {};
  }
  return make_string(in.heap, std::move(out), v.str()->markup);
}

Value truncate(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "truncate", args, {"length", "killwords", "end", "leeway"});
  if (!b.ok()) return {};
  const Text end(b.text(2, "..."));
  const int64_t length = b.integer(0, 255);
  const int64_t leeway = b.given(3) ? b.integer(3, 5) : 5;
  const int64_t end_chars = static_cast<int64_t>(count_chars(end));
  if (length < end_chars || leeway < 0 || length > INT32_MAX || leeway > INT32_MAX)
    in.heap.fail("truncate: the length is shorter than its end mark");
  if (in.heap.failed() || length_of(in.heap, v) <= length + leeway) return v;
  if (!v.is(Kind::kString)) return in.fail("truncate needs a string");
  std::string_view kept = v.text().substr(0, byte_offset(v.text(), length - end_chars));
  if (!b.flag(1, false)) kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
  return in.string(Text(kept) + end);
}

Value wordcount(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "wordcount", args, {}).ok()) return {};
  const Text s = to_str(in.heap, v);
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    const bool word = c == '_' || is_alnum(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

bool to_float(const Value& v, double& out) {
  if (v.is_number()) {
    out = v.real();
    return true;
  }
  return (v.is(Kind::kString) || v.is(Kind::kBigInt)) && parse_float(v.text(), out);
}

Value int_filter(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "int", args, {"default", "base"});
  if (!b.ok()) return {};
  if (v.is_undefined()) return in.fail(v.undefined_message());
  const Value fallback = b.get(0) != nullptr ? *b.get(0) : Value::integer(0);
  const int64_t base = b.integer(1, 10);
  int64_t i = 0;
  double d = 0;
  if (v.is_int_like()) return Value::integer(v.integer());
  if (v.is(Kind::kBigInt)) return v;
  if (v.is(Kind::kString) && base >= 0 && base <= 36 && parse_int(v.text(), static_cast<int>(base), i))
    return Value::integer(i);
  if (!to_float(v, d)) return fallback;
  // Python falls back for nan and for an infinity in text, but int(inf) of a float is an error it does not catch.
  if (std::isinf(d) && v.is(Kind::kFloat)) return in.fail("cannot convert float infinity to integer");
  if (!std::isfinite(d)) return fallback;
  if (std::fabs(d) >= 9.2e18) return in.fail("the integer does not fit 64 bits");
  return Value::integer(static_cast<int64_t>(d));
}

Value float_filter(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "float", args, {"default"});
  if (!b.ok()) return {};
  if (v.is_undefined()) return in.fail(v.undefined_message());
  double d = 0;
  if (to_float(v, d)) return Value::real(d);
  return b.get(0) != nullptr ? *b.get(0) : Value::real(0);
}

Value abs_filter(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "abs", args, {}).ok()) return {};
  if (v.is(Kind::kFloat)) return Value::real(std::fabs(v.real()));
  if (v.is_int_like()) return v.integer() < 0 ? negate(in.heap, v) : Value::integer(v.integer());
  return in.fail(v.is_undefined() ? v.undefined_message() : "abs needs a number");
}

Value round_filter(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "round", args, {"precision", "method"});
  if (!b.ok()) return {};
  const int64_t digits = b.integer(0, 0);
  const std::string_view method = b.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    return in.fail("round: method is common, ceil or floor");
  if (!v.is_number()) return in.fail(v.is_undefined() ? v.undefined_message() : "round needs a number");
  if (digits < -300 || digits > 300) return in.fail("round: the precision is out of range");
  if (method != "common") {
    const double scale = std::pow(10.0, static_cast<double>(digits));
    const double scaled = v.real() * scale;
    if (!std::isfinite(scaled)) return in.fail("round: the number is too large");
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
  }
  if (v.is_int_like()) {
    if (digits >= 0) return Value::integer(v.integer());
    if (digits < -18) return Value::integer(0);
    int64_t unit = 1;
    for (int64_t i = 0; i < -digits; ++i) unit *= 10;
    const Value n = Value::integer(v.integer());
    const int64_t rest = arithmetic(in.heap, Arith::kMod, n, Value::integer(unit)).integer();
    int64_t down = 0;
    if (__builtin_sub_overflow(v.integer(), rest, &down))
      return in.fail("integer arithmetic left the 64-bit range");
    const bool up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);  // ties go to even
    return up ? arithmetic(in.heap, Arith::kAdd, Value::integer(down), Value::integer(unit)) : Value::integer(down);
  }
  if (!std::isfinite(v.real()) || digits > 100) return v;
  if (digits >= 0) return Value::real(std::strtod(fixed(v.real(), static_cast<int>(digits)).c_str(), nullptr));
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return Value::real(std::nearbyint(v.real() / unit) * unit);
}

Value safe(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "safe", args, {}).ok()) return {};
  AuthoredText out;
  append_value(in.heap, v, out);
  return make_string(in.heap, std::move(out), true);
}

Value force_escape(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "forceescape", args, {}).ok()) return {};
  return make_string(in.heap, escape_html(to_str(in.heap, v)), true);
}

Value escape(Interp& in, const Value& v, const Args& args) {
  return v.is(Kind::kString) && v.str()->markup ? v : force_escape(in, v, args);
}

Value default_filter(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "default", args, {"default_value", "boolean"});
  if (!b.ok()) return {};
  if (!v.is_undefined() && !(b.flag(1, false) && !truthy(v))) return v;
  return b.get(0) != nullptr ? *b.get(0) : in.string("");
}

// transformers' tojson: json.dumps with ensure_ascii off and nothing escaped for HTML.
Value tojson(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  if (!b.ok()) return {};
  JsonStyle style;
  style.ensure_ascii = b.flag(0, false);
  style.sort_keys = b.flag(3, false);
  if (b.given(1)) {
    style.item_separator = ",";
    const Value& width = *b.get(1);
    if (width.is(Kind::kString)) {
      style.indent = Text(width.text());
    } else {
      const int64_t n = std::max<int64_t>(0, b.integer(1, 0));
      if (n > 1000) in.heap.fail("tojson: the indent is too large");
      if (!in.heap.failed()) style.indent = Text(static_cast<size_t>(n), ' ');
    }
  }
  if (b.given(2)) {
    Vec<Value> two;
    if (!iterate(in.heap, *b.get(2), two)) return {};
    if (two.size() != 2 || !two[0].is(Kind::kString) || !two[1].is(Kind::kString))
      return in.fail("tojson: separators are two strings");
    style.item_separator = Text(two[0].text());
    style.key_separator = Text(two[1].text());
  }
  return in.heap.failed() ? Value() : in.string(dump_json(in.heap, v, style));
}

Value urlencode(Interp& in, const Value& v, const Args& args) {
  if (!Bound(in.heap, "urlencode", args, {}).ok()) return {};
  const auto quote = [&](const Value& each, bool query) {
    Text out;
    for (const char c : to_str(in.heap, each)) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                         std::string_view("_.-~").find(c) != std::string_view::npos;
      static constexpr char kHex[] = "0123456789ABCDEF";
      if (plain || (c == '/' && !query))
        out += c;
      else if (c == ' ' && query)
        out += '+';
      else
        out += {'%', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    }
    return out;
  };
  if (v.is(Kind::kString) || !is_iterable(v)) return in.string(quote(v, false));
  Text out;
  const Value pairs = v.is(Kind::kDict) ? find_dict_method("items")->fn(in, v, Args{}) : v;
  Vec<Value> items;
  if (in.heap.failed() || !iterate(in.heap, pairs, items)) return {};
  for (const Value& pair : items) {
    Vec<Value> two;
    if (!iterate(in.heap, pair, two)) return {};
    if (two.size() != 2) return in.fail("urlencode needs pairs");
    if (!out.empty()) out += '&';
    out += quote(two[0], true) + "=" + quote(two[1], true);
  }
  return in.string(std::move(out));
}

}  // namespace

FilterFn find_text_filter(std::string_view name) {
  static constexpr FilterEntry kFilters[] = {{"tojson", tojson},
                                             {"trim", trim},
                                             {"default", default_filter},
                                             {"d", default_filter},
                                             {"string", string},
                                             {"upper", upper},
                                             {"lower", lower},
                                             {"title", title},
                                             {"capitalize", capitalize},
                                             {"replace", replace},
                                             {"format", format},
                                             {"indent", indent},
                                             {"int", int_filter},
                                             {"float", float_filter},
                                             {"abs", abs_filter},
                                             {"round", round_filter},
                                             {"safe", safe},
                                             {"escape", escape},
                                             {"e", escape},
                                             {"forceescape", force_escape},
                                             {"center", center},
                                             {"truncate", truncate},
                                             {"wordcount", wordcount},
                                             {"urlencode", urlencode}};
  for (const FilterEntry& f : kFilters) {
    if (f.name == name) return f.fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
