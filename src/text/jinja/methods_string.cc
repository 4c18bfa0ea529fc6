// Methods of strings, in characters, not bytes.
#include <algorithm>

#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/search.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

template <bool kLeft, bool kRight>
Value str_strip(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "strip", args, {"chars"});
  if (!b.ok()) return {};
  std::string_view s = self.text();
  const std::string_view chars = b.given(0) ? b.text(0, "") : "";
  if (!in.heap.step_bytes(s.size() * (1 + chars.size() / 32))) return {};
  if (kLeft) s = b.given(0) ? strip_left(s, chars) : strip_left(s);
  if (kRight) s = b.given(0) ? strip_right(s, chars) : strip_right(s);
  return part_of(self, s);
}

// The part of the text that start and stop (characters) choose. RETURNS: false when start lies behind the end.
bool window(Bound& b, const Value& self, size_t first, std::string_view& out, int64_t& offset) {
  const int64_t size = char_count(self);
  const auto clamp = [&](int64_t i) {
    return i < 0 ? std::max<int64_t>(0, i < -size ? 0 : i + size) : std::min(i, size);
  };
  const int64_t asked = b.given(first) ? b.integer(first, 0) : 0;
  const int64_t from = clamp(asked);
  const int64_t to = b.given(first + 1) ? clamp(b.integer(first + 1, size)) : size;
  offset = from;
  if (from > to || asked > size) return false;
  const size_t start = byte_offset(self.text(), from);
  out = self.text().substr(start, byte_offset(self.text().substr(start), to - from));
  return true;
}

template <bool kEnd>
Value str_starts(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, kEnd ? "endswith" : "startswith", args, {"prefix", "start", "end"}, 1);
  std::string_view s;
  int64_t offset = 0;
  if (!b.ok()) return {};
  const bool inside = window(b, self, 1, s, offset);
  const auto fits = [&](const Value& v) {
    if (!v.is(Kind::kString)) in.heap.fail("startswith and endswith need a string or a tuple of strings");
    return !in.heap.failed() && inside && (kEnd ? s.ends_with(v.text()) : s.starts_with(v.text()));
  };
  const Value& what = *b.get(0);
  if (!what.is(Kind::kSeq) || !what.seq()->tuple_like()) return Value::boolean(fits(what));
  for (const Value& v : what.seq()->items) {
    if (fits(v)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool kRight, bool kMustFind>
Value str_find(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "find", args, {"sub", "start", "end"}, 1);
  std::string_view s;
  int64_t offset = 0;
  if (!b.ok() || !in.heap.step_bytes(self.text().size())) return {};
  const std::string_view what = b.text(0, "");
  const bool inside = window(b, self, 1, s, offset);
  const size_t hit = !inside ? s.npos : (kRight ? rfind_bytes(s, what) : find_bytes(s, what, 0));
  if (hit != s.npos) return Value::integer(offset + static_cast<int64_t>(count_chars(s.substr(0, hit))));
  return kMustFind ? in.fail("substring not found") : Value::integer(-1);
}

Value str_count(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "count", args, {"sub", "start", "end"}, 1);
  std::string_view s;
  int64_t offset = 0;
  if (!b.ok() || !in.heap.step_bytes(self.text().size())) return {};
  const std::string_view what = b.text(0, "");
  if (!window(b, self, 1, s, offset)) return Value::integer(0);
  if (what.empty()) return Value::integer(static_cast<int64_t>(count_chars(s)) + 1);
  int64_t n = 0;
  for (size_t at = find_bytes(s, what, 0); at != s.npos; at = find_bytes(s, what, at + what.size())) ++n;
  return Value::integer(n);
}

Value str_replace(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "replace", args, {"old", "new", "count"}, 2);
  if (!b.ok()) return {};
  const std::string_view from = b.text(0, "");
  b.text(1, "");
  const int64_t count = b.integer(2, -1);
  if (in.heap.failed()) return {};
  AuthoredText out = replace_all(in.heap, self, from, *b.get(1), count);
  return in.heap.failed() ? Value() : make_string(in.heap, std::move(out), self.str()->markup);
}

template <Text (*kMap)(std::string_view)>
Value str_map(Interp& in, const Value& self, const Args& args) {
  if (!Bound(in.heap, "this string method", args, {}).ok() || !in.heap.step_bytes(self.text().size() * 4))
    return {};
  return like(in, self, kMap(self.text()));
}

template <bool (*kIs)(uint32_t)>
Value str_all(Interp& in, const Value& self, const Args& args) {
  const std::string_view s = self.text();
  if (!Bound(in.heap, "this string method", args, {}).ok() || !in.heap.step_bytes(s.size())) return {};
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    if (!kIs(char_at(s, i))) return Value::boolean(false);
  }
  return Value::boolean(!s.empty());
}

// isupper / islower: at least one cased letter, and none of the other case.
template <bool (*kIs)(uint32_t)>
Value str_case(Interp& in, const Value& self, const Args&) {
  bool any = false;
  const std::string_view s = self.text();
  in.heap.step_bytes(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    if (is_cased(c) && !kIs(c)) return Value::boolean(false);
    any |= is_cased(c);
  }
  return Value::boolean(any);
}

Value str_istitle(Interp& in, const Value& self, const Args&) {
  bool inside = false, any = false;
  const std::string_view s = self.text();
  in.heap.step_bytes(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    if ((is_upper(c) && inside) || (is_lower(c) && !inside)) return Value::boolean(false);
    inside = is_cased(c);
    any |= inside;
  }
  return Value::boolean(any);
}

Value str_join(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "join", args, {"values"}, 1);
  Vec<Value> items;
  if (!b.ok() || !iterate(in.heap, *b.get(0), items)) return {};
  AuthoredText out;
  for (size_t i = 0; i < items.size() && in.heap.step(); ++i) {
    if (!items[i].is(Kind::kString)) {
      return in.fail("join: item " + number_text(i) + " is not a string but " + Text(type_name(items[i])));
    }
    if (i > 0) append_string(self, out);
    const bool escaped = self.str()->markup && !items[i].str()->markup;
    append_string(escaped ? mapped_from(items[i], escape_html(items[i].text()), true) : items[i], out);
  }
  return in.heap.failed() ? Value() : make_string(in.heap, std::move(out), self.str()->markup);
}

template <int kSide>  // -1: text left, 0: centred, 1: text right
Value str_justify(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "justify", args, {"width", "fillchar"}, 1);
  if (!b.ok()) return {};
  const int64_t width = b.integer(0, 0);
  const Text fill(b.text(1, " "));
  if (count_chars(fill) != 1) in.heap.fail("a fill character is one character");
  const int64_t missing = width - char_count(self);
  if (in.heap.failed() || missing <= 0) return in.heap.failed() ? Value() : self;
  if (!in.heap.can_make(static_cast<uint64_t>(missing) * fill.size())) return {};
  const int64_t half = missing / 2 + (missing & width & 1);  // Python's odd space goes left when the width is odd
  const int64_t left = kSide < 0 ? 0 : (kSide > 0 ? missing : half);
  Text out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.text();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return like(in, self, std::move(out));
}

Value str_zfill(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "zfill", args, {"width"}, 1);
  const int64_t missing = b.ok() ? b.integer(0, 0) - char_count(self) : 0;
  if (in.heap.failed() || (missing > 0 && !in.heap.can_make(static_cast<uint64_t>(missing)))) return {};
  Text out(self.text());
  if (missing > 0)
    out.insert(!out.empty() && (out[0] == '-' || out[0] == '+') ? 1 : 0, static_cast<size_t>(missing), '0');
  return like(in, self, std::move(out));
}

template <bool kSuffix>
Value str_remove(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, kSuffix ? "removesuffix" : "removeprefix", args, {"affix"}, 1);
  const std::string_view affix = b.ok() ? b.text(0, "") : "";
  std::string_view s = self.text();
  if (in.heap.failed()) return {};
  if (!kSuffix && s.starts_with(affix)) s.remove_prefix(affix.size());
  if (kSuffix && s.ends_with(affix)) s.remove_suffix(affix.size());
  return part_of(self, s);
}

Value str_expandtabs(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "expandtabs", args, {"tabsize"});
  const int64_t size = b.ok() ? b.integer(0, 8) : 8;
  if (size > kMaxFormatWidth) in.heap.fail("the tab size is too large");
  Text out;
  int64_t column = 0;
  const std::string_view s = self.text();
  for (size_t i = 0; i < s.size() && in.heap.step(); i += char_bytes(s, i)) {
    if (s[i] == '\t') {
      const int64_t n = size > 0 ? size - column % size : 0;
      out.append(static_cast<size_t>(n), ' ');
      column += n;
    } else {
      out += s.substr(i, char_bytes(s, i));
      column = s[i] == '\n' || s[i] == '\r' ? 0 : column + 1;
    }
  }
  return in.heap.failed() ? Value() : like(in, self, std::move(out));
}

bool is_ascii_char(uint32_t c) { return c < 0x80; }
Value str_isascii(Interp& in, const Value& self, const Args& args) {
  return self.text().empty() ? Value::boolean(true) : str_all<is_ascii_char>(in, self, args);
}
Value str_isprintable(Interp& in, const Value& self, const Args& args) {
  return self.text().empty() ? Value::boolean(true) : str_all<is_printable>(in, self, args);
}

}  // namespace

const Method* find_string_method(std::string_view name) {
  static constexpr Method kMethods[] = {{"split", str_split},
                                        {"strip", str_strip<true, true>},
                                        {"lstrip", str_strip<true, false>},
                                        {"rstrip", str_strip<false, true>},
                                        {"startswith", str_starts<false>},
                                        {"endswith", str_starts<true>},
                                        {"replace", str_replace},
                                        {"upper", str_map<to_upper>},
                                        {"lower", str_map<to_lower>},
                                        {"casefold", str_map<to_lower>},
                                        {"title", str_map<to_title>},
                                        {"capitalize", str_map<to_capitalized>},
                                        {"swapcase", str_map<to_swapped>},
                                        {"join", str_join},
                                        {"format", format_string},
                                        {"find", str_find<false, false>},
                                        {"rfind", str_find<true, false>},
                                        {"index", str_find<false, true>},
                                        {"rindex", str_find<true, true>},
                                        {"count", str_count},
                                        {"rsplit", str_rsplit},
                                        {"splitlines", str_splitlines},
                                        {"partition", str_partition},
                                        {"rpartition", str_rpartition},
                                        {"removeprefix", str_remove<false>},
                                        {"removesuffix", str_remove<true>},
                                        {"zfill", str_zfill},
                                        {"ljust", str_justify<-1>},
                                        {"center", str_justify<0>},
                                        {"rjust", str_justify<1>},
                                        {"expandtabs", str_expandtabs},
                                        {"isalpha", str_all<is_alpha>},
                                        {"isdigit", str_all<is_digit>},
                                        {"isnumeric", str_all<is_digit>},
                                        {"isdecimal", str_all<is_decimal>},
                                        {"isalnum", str_all<is_alnum>},
                                        {"isspace", str_all<is_space>},
                                        {"isascii", str_isascii},
                                        {"isprintable", str_isprintable},
                                        {"isupper", str_case<is_upper>},
                                        {"islower", str_case<is_lower>},
                                        {"istitle", str_istitle}};
  for (const Method& m : kMethods) {
    if (m.name == name) return &m;
  }
  return nullptr;
}

}  // namespace weir::jinja
