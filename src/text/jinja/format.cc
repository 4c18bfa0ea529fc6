#include "text/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja/number.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

struct Spec {
  Text fill = " ";
  char align = 0;  // '<', '>', '^', '='
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char group = 0;  // ',' or '_'
  int64_t precision = -1;
  char type = 0;
};

bool read_number(std::string_view s, size_t& at, int64_t& out) {
  const size_t from = at;
  int64_t n = 0;
  while (at < s.size() && s[at] >= '0' && s[at] <= '9') {
    n = std::min<int64_t>(n * 10 + (s[at] - '0'), INT32_MAX);
    ++at;
  }
  if (at > from) out = n;
  return at > from;
}

bool check(Heap& heap, const Spec& spec) {
  if (spec.width <= kMaxFormatWidth && spec.precision <= kMaxFormatWidth) return true;
  heap.fail("a format width or precision is too large");
  return false;
}

bool parse_spec(Heap& heap, std::string_view s, Spec& out) {
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const size_t first = s.empty() ? 0 : char_bytes(s, 0);
  if (s.size() > first && first > 0 && is_align(s[first])) {
    out.fill = Text(s.substr(0, first));
    out.align = s[first];
    at = first + 1;
  } else if (!s.empty() && is_align(s[0])) {
    out.align = s[0];
    at = 1;
  }
  if (at < s.size() && (s[at] == '+' || s[at] == '-' || s[at] == ' ')) out.sign = s[at++];
  if (at < s.size() && s[at] == '#') out.alternate = true, ++at;
  if (at < s.size() && s[at] == '0') {
    if (out.align == 0) out.fill = "0", out.align = '=';
    ++at;
  }
  read_number(s, at, out.width);
  if (at < s.size() && (s[at] == ',' || s[at] == '_')) out.group = s[at++];
  bool ok = true;
  if (at < s.size() && s[at] == '.') ok = read_number(s, ++at, out.precision);
  if (at < s.size()) out.type = s[at++];
  if (!ok || at != s.size()) heap.fail("invalid format specifier '" + Text(s) + "'");
  return !heap.failed() && check(heap, out);
}

Text pad(Text body, Text prefix, const Spec& spec, char default_align) {
  const int64_t have = static_cast<int64_t>(count_chars(body) + prefix.size());
  const int64_t missing = std::max<int64_t>(0, spec.width - have);
  const char align = spec.align == 0 ? default_align : spec.align;
  int64_t left = 0;
  if (align == '>' || align == '=') left = missing;
  if (align == '^') left = missing / 2;
  Text out;
  const auto fill = [&](int64_t n) {
    while (n-- > 0) out += spec.fill;
  };
  if (align == '=') out += prefix;
  fill(left);
  if (align != '=') out += prefix;
  out += body;
  fill(missing - left);
  return out;
}

Text grouped(const Text& digits, char mark, size_t every) {
  const size_t end = std::min(digits.find_first_of(".e"), digits.size());
  Text out;
  for (size_t i = 0; i < end; ++i) {
    if (i > 0 && (end - i) % every == 0) out += mark;
    out += digits[i];
  }
  return out + digits.substr(end);
}

Text in_base(uint64_t n, unsigned base, bool upper) {
  Text out;
  do {
    out += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[n % base];
    n /= base;
  } while (n > 0);
  std::reverse(out.begin(), out.end());
  return out;
}

Text sign_text(bool negative, char sign) {
  if (negative) return "-";
  return sign == '-' ? "" : Text(1, sign);
}

Text general(double d, int64_t precision, char type, bool alternate) {
  char buffer[512];
  const Text form = Text(alternate ? "%#.*" : "%.*") + type;
  const int p = static_cast<int>(precision);
  return Text(buffer, static_cast<size_t>(std::snprintf(buffer, sizeof(buffer), form.c_str(), p, d)));
}

Text float_body(double d, const Spec& spec, char type) {
  if (!std::isfinite(d)) return std::isnan(d) ? "nan" : "inf";
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  if (type == 0) {
    if (spec.precision < 0) return float_repr(d);
    Text s = general(d, std::max<int64_t>(1, precision), 'g', spec.alternate);
    const bool plain = s.find_first_of(".e") == Text::npos;
    return plain ? s + ".0" : s;
  }
  if (type == '%') return general(d * 100, precision, 'f', spec.alternate) + "%";
  return general(d, precision, type, spec.alternate);
}

Text format_float(Heap& heap, double d, const Spec& spec) {
  static constexpr std::string_view kTypes = "eEfFgG%";
  if (spec.type != 0 && kTypes.find(spec.type) == kTypes.npos) {
    heap.fail(Text("unknown format code '") + spec.type + "' for a float");
    return "";
  }
  if (spec.precision > kMaxFormatPrecision) {
    heap.fail("a float precision is at most " + number_text(kMaxFormatPrecision));
    return "";
  }
  Text body = float_body(std::fabs(d), spec, spec.type);
  if (spec.group != 0) body = grouped(body, spec.group, 3);
  return pad(std::move(body), sign_text(std::signbit(d) && !std::isnan(d), spec.sign), spec, '>');
}

Text format_int(Heap& heap, const Value& v, const Spec& spec) {
  const int64_t n = v.integer();
  const uint64_t magnitude = n < 0 ? 0 - static_cast<uint64_t>(n) : static_cast<uint64_t>(n);
  Text prefix = sign_text(n < 0, spec.sign);
  Text body;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      body = number_text(magnitude);
      break;
    case 'b':
      body = in_base(magnitude, 2, false);
      break;
    case 'o':
      body = in_base(magnitude, 8, false);
      break;
    case 'x':
    case 'X':
      body = in_base(magnitude, 16, spec.type == 'X');
      break;
    case 'c':
      if (n < 0 || n > 0x10FFFF || (n >= 0xD800 && n < 0xE000)) heap.fail("'c' needs a character code");
      append_char(body, static_cast<uint32_t>(n));
      return pad(std::move(body), "", spec, '<');
    default:
      return format_float(heap, static_cast<double>(n), spec);
  }
  if (spec.precision >= 0) heap.fail("precision is not allowed for an integer");
  if (spec.alternate && spec.type != 0 && spec.type != 'd') prefix += Text("0") + spec.type;
  if (spec.group != 0) body = grouped(body, spec.group, spec.type == 0 || spec.type == 'd' ? 3 : 4);
  return pad(std::move(body), std::move(prefix), spec, '>');
}

Text format_text(Heap& heap, Text s, const Spec& spec) {
  if ((spec.type != 0 && spec.type != 's') || spec.align == '=') heap.fail("invalid format specifier for a string");
  if (spec.precision >= 0) s.resize(byte_offset(s, spec.precision));
  return pad(std::move(s), "", spec, '<');
}

// One conversion of the % language.
Text convert(Heap& heap, char type, const Value& v, Spec spec) {
  if (type == 's' || type == 'r' || type == 'a') {
    spec.type = 0;
    if (spec.align == '=') spec.align = 0, spec.fill = " ";
    if (spec.align == 0) spec.align = '>';
    return format_text(heap, type == 's' ? to_str(heap, v) : to_repr(heap, v), spec);
  }
  if (type == 'c' && v.is(Kind::kString) && char_count(v) == 1) {
    spec.align = spec.align == '<' ? '<' : '>';
    return format_text(heap, Text(v.text()), spec);
  }
  if (!v.is_number()) {
    heap.fail(v.is_undefined() ? v.undefined_message()
                               : Text("%") + type + " needs a number, not " + Text(type_name(v)));
    return "";
  }
  static constexpr std::string_view kFloats = "eEfFgG";
  if (kFloats.find(type) != kFloats.npos) {
    spec.type = type;
    return format_float(heap, v.real(), spec);
  }
  const bool whole_only = type == 'x' || type == 'X' || type == 'o' || type == 'c';
  if (v.is(Kind::kFloat) && (whole_only || !std::isfinite(v.real()) || std::fabs(v.real()) >= 9.2e18)) {
    heap.fail(Text("%") + type + " needs an integer");
    return "";
  }
  const int64_t n = v.is(Kind::kFloat) ? static_cast<int64_t>(v.real()) : v.integer();
  spec.type = type == 'i' || type == 'u' ? 'd' : type;
  const size_t digits = static_cast<size_t>(std::max<int64_t>(0, spec.precision));
  spec.precision = -1;
  Text text =
      format_int(heap, Value::integer(n), Spec{.sign = spec.sign, .alternate = spec.alternate, .type = spec.type});
  const size_t sign = !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
  if (text.size() - sign < digits) text.insert(sign, digits - (text.size() - sign), '0');
  return pad(text.substr(sign), text.substr(0, sign), spec, '>');
}

// Reads the flags after '%'. RETURNS: the conversion letter, 0 at a bad end.
char read_percent(std::string_view f, size_t& at, Spec& spec) {
  for (; at < f.size(); ++at) {
    if (f[at] == '-') {
      spec.align = '<', spec.fill = " ";
    } else if (f[at] == '0') {
      if (spec.align != '<') spec.align = '=', spec.fill = "0";
    } else if (f[at] == '+' || (f[at] == ' ' && spec.sign != '+')) {
      spec.sign = f[at];
    } else if (f[at] == '#') {
      spec.alternate = true;
    } else if (f[at] != ' ') {
      break;
    }
  }
  read_number(f, at, spec.width);
  if (at < f.size() && f[at] == '.') {
    spec.precision = 0;
    read_number(f, ++at, spec.precision);
  }
  while (at < f.size() && (f[at] == 'l' || f[at] == 'h' || f[at] == 'L')) ++at;
  return at < f.size() ? f[at++] : '\0';
}

}  // namespace

void append_shown(const Value& v, std::string_view shown, AuthoredText& out) {
  const bool whole = v.is(Kind::kString) && v.str()->authored.covers(0, v.text().size());
  if (v.is(Kind::kString) && v.text() == shown) {
    append_string(v, out);
  } else if (whole || v.is_int_like()) {
    out.append_authored(shown);
  } else {
    out.append(shown);
  }
}

Value percent_format(Heap& heap, const Value& format, const Value& values) {
  const std::string_view f = format.text();
  const bool tuple = values.is(Kind::kSeq) && values.seq()->tuple_like();
  const Vec<Value> one{values};
  const Vec<Value>& list = tuple ? values.seq()->items : one;
  size_t next = 0;
  AuthoredText out;
  heap.step_bytes(f.size());
  for (size_t at = 0; at < f.size() && heap.step();) {
    const size_t from = at;
    at = std::min(f.find('%', at), f.size());
    out.append_part(f, format.str()->authored, from, at);
    if (at == f.size()) break;
    ++at;
    Value v;
    bool named = false;
    if (at < f.size() && f[at] == '(') {
      const size_t close = f.find(')', at);
      if (close == f.npos || !values.is(Kind::kDict)) {
        heap.fail("a named % format needs a mapping");
        return {};
      }
      const Value* found = values.dict()->find(f.substr(at + 1, close - at - 1));
      if (found == nullptr)
        heap.fail("no value named '" + Text(f.substr(at + 1, close - at - 1)) + "'");
      else
        v = *found;
      named = true;
      at = close + 1;
    }
    Spec spec;
    const char type = read_percent(f, at, spec);
    if (!check(heap, spec)) return {};
    if (type == '%') {
      out.append("%");
      continue;
    }
    if (std::string_view("sradiuxXoeEfFgGc").find(type) == std::string_view::npos || type == '\0') {
      heap.fail("unsupported % format in '" + Text(f.substr(0, 80)) + "'");
    } else if (!named && next >= list.size()) {
      heap.fail("not enough arguments for a format string");
    } else if (!named) {
      v = list[next++];
    }
    if (heap.failed()) return {};
    Text piece = convert(heap, type, v, spec);
    if (format.str()->markup && !(v.is(Kind::kString) && v.str()->markup)) piece = escape_html(piece);
    append_shown(v, piece, out);
  }
  // Python lets everything that can be subscripted, bar strings and tuples, pass for a mapping that was not used.
  const bool mapping = values.is(Kind::kDict) || values.is_undefined() ||
                       (values.is(Kind::kSeq) && !tuple && values.seq()->indexable());
  if (next < list.size() && !mapping) {
    heap.fail("not all arguments converted during string formatting");
  }
  return heap.failed() ? Value() : make_string(heap, std::move(out), format.str()->markup);
}

Text format_spec(Heap& heap, const Value& v, std::string_view text) {
  if (text.empty()) return to_str(heap, v);
  Spec spec;
  if (!parse_spec(heap, text, spec)) return "";
  if (v.is(Kind::kString)) return format_text(heap, Text(v.text()), spec);
  if (v.is(Kind::kFloat)) return format_float(heap, v.real(), spec);
  if (v.is_int_like()) return format_int(heap, v, spec);
  heap.fail("a format specifier cannot be applied to " + Text(type_name(v)));
  return "";
}

Text escape_html(std::string_view s) {
  Text out;
  out.reserve(s.size());
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace weir::jinja
