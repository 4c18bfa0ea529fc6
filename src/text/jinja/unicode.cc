#include "text/jinja/unicode.h"

#include <utf8proc.h>

namespace weir::jinja {
namespace {

bool is_tail(unsigned char c) { return (c & 0xC0) == 0x80; }

utf8proc_category_t category(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Letters whose capital is more than one letter, as far as texts meet them (Unicode SpecialCasing.txt).
const char* long_upper(uint32_t c) {
  switch (c) {
    case 0x00DF:
      return "SS";
    case 0x0149:
      return "\u02BCN";
    case 0x01F0:
      return "J\u030C";
    case 0x0390:
      return "\u0399\u0308\u0301";
    case 0x03B0:
      return "\u03A5\u0308\u0301";
    case 0x0587:
      return "\u0535\u0552";
    case 0x1E96:
      return "H\u0331";
    case 0x1E97:
      return "T\u0308";
    case 0x1E98:
      return "W\u030A";
    case 0x1E99:
      return "Y\u030A";
    case 0xFB00:
      return "FF";
    case 0xFB01:
      return "FI";
    case 0xFB02:
      return "FL";
    case 0xFB03:
      return "FFI";
    case 0xFB04:
      return "FFL";
    case 0xFB05:
    case 0xFB06:
      return "ST";
    default:
      return nullptr;
  }
}

void append_upper(Text& out, uint32_t c) {
  if (const char* text = long_upper(c)) {
    out += text;
  } else {
    append_char(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_title(Text& out, uint32_t c) {
  if (const char* text = long_upper(c)) {
    // Only the first letter stays a capital: "Ss", "Ffi".
    const std::string_view s = text;
    const size_t n = char_bytes(s, 0);
    out += s.substr(0, n);
    out += to_lower(s.substr(n));
  } else {
    append_char(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_case_ignorable(uint32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return c == '\'' || c == '.' || c == ':' || c == 0xB7 || c == 0x2018 || c == 0x2019;
  }
}

// A capital sigma is final when a letter stands before it and none after it.
bool is_final_sigma(std::string_view s, size_t at) {
  size_t i = at;
  bool before = false;
  while (i > 0 && !before) {
    do --i;
    while (i > 0 && is_tail(static_cast<unsigned char>(s[i])));
    const uint32_t c = char_at(s, i);
    if (is_case_ignorable(c)) continue;
    if (!is_cased(c)) return false;
    before = true;
  }
  if (!before) return false;
  for (i = at + char_bytes(s, at); i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

void append_lower(Text& out, std::string_view s, size_t at) {
  const uint32_t c = char_at(s, at);
  if (c == 0x0130) {
    out += "i\u0307";
  } else if (c == 0x03A3) {
    out += is_final_sigma(s, at) ? "\u03C2" : "\u03C3";
  } else {
    append_char(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

bool contains_char(std::string_view chars, std::string_view one) { return chars.find(one) != chars.npos; }

}  // namespace

bool is_ascii(std::string_view s) {
  unsigned char bits = 0;
  for (const char c : s) bits |= static_cast<unsigned char>(c);
  return bits < 0x80;
}

bool is_valid_utf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    if (static_cast<unsigned char>(s[i]) < 0x80) {
      ++i;
      continue;
    }
    utf8proc_int32_t c = -1;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(s.data() + i),
                                    static_cast<utf8proc_ssize_t>(s.size() - i), &c);
    if (n <= 0) return false;
    i += static_cast<size_t>(n);
  }
  return true;
}

size_t count_chars(std::string_view s) {
  size_t n = 0;
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) ++n;
  return n;
}

size_t char_bytes(std::string_view s, size_t at) {
  const unsigned char c = static_cast<unsigned char>(s[at]);
  size_t want = 1;
  if (c >= 0xF0) {
    want = 4;
  } else if (c >= 0xE0) {
    want = 3;
  } else if (c >= 0xC0) {
    want = 2;
  }
  size_t n = 1;
  while (n < want && at + n < s.size() && is_tail(static_cast<unsigned char>(s[at + n]))) ++n;
  return n;
}

uint32_t char_at(std::string_view s, size_t at) {
  const unsigned char c = static_cast<unsigned char>(s[at]);
  const size_t n = char_bytes(s, at);
  if (n == 1) return c;
  uint32_t value = c & (0x7Fu >> n);
  for (size_t i = 1; i < n; ++i) value = (value << 6) | (static_cast<unsigned char>(s[at + i]) & 0x3Fu);
  return value;
}

size_t byte_offset(std::string_view s, int64_t chars) {
  size_t i = 0;
  while (chars > 0 && i < s.size()) {
    i += char_bytes(s, i);
    --chars;
  }
  return i;
}

size_t encode_char(uint32_t c, char utf8[4]) {
  if (c < 0x80) {
    utf8[0] = static_cast<char>(c);
    return 1;
  }
  const size_t bytes = c < 0x800 ? 2 : (c < 0x10000 ? 3 : 4);
  for (size_t i = bytes - 1; i > 0; --i, c >>= 6) utf8[i] = static_cast<char>(0x80 | (c & 0x3F));
  constexpr uint32_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  utf8[0] = static_cast<char>(kLead[bytes] | c);
  return bytes;
}

bool is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_printable(uint32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_alpha(uint32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(uint32_t c) {
  if (is_decimal(c)) return true;
  return c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ||
         (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C) ||
         (c >= 0x2488 && c <= 0x2490);
}
bool is_alnum(uint32_t c) {
  const auto k = category(c);
  return is_alpha(c) || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}
bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA; }
bool is_cased(uint32_t c) { return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT; }

Text to_upper(std::string_view s) {
  Text out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) append_upper(out, char_at(s, i));
  return out;
}

Text to_lower(std::string_view s) {
  Text out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) append_lower(out, s, i);
  return out;
}

Text to_capitalized(std::string_view s) {
  Text out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    if (i == 0) {
      append_title(out, char_at(s, i));
    } else {
      append_lower(out, s, i);
    }
  }
  return out;
}

Text to_title(std::string_view s) {
  Text out;
  out.reserve(s.size());
  bool inside = false;
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    if (inside) {
      append_lower(out, s, i);
    } else {
      append_title(out, c);
    }
    inside = is_cased(c);
  }
  return out;
}

Text to_swapped(std::string_view s) {
  Text out;
  out.reserve(s.size());
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) {
    const uint32_t c = char_at(s, i);
    if (is_upper(c)) {
      append_lower(out, s, i);
    } else if (is_lower(c)) {
      append_upper(out, c);
    } else {
      append_char(out, c);
    }
  }
  return out;
}

std::string_view strip_left(std::string_view s) {
  size_t i = 0;
  while (i < s.size() && is_space(char_at(s, i))) i += char_bytes(s, i);
  return s.substr(i);
}

std::string_view strip_right(std::string_view s) {
  while (!s.empty()) {
    size_t i = s.size() - 1;
    while (i > 0 && is_tail(static_cast<unsigned char>(s[i]))) --i;
    if (!is_space(char_at(s, i))) break;
    s = s.substr(0, i);
  }
  return s;
}

std::string_view strip_left(std::string_view s, std::string_view chars) {
  while (!s.empty()) {
    const size_t n = char_bytes(s, 0);
    if (!contains_char(chars, s.substr(0, n))) break;
    s.remove_prefix(n);
  }
  return s;
}

std::string_view strip_right(std::string_view s, std::string_view chars) {
  while (!s.empty()) {
    size_t i = s.size() - 1;
    while (i > 0 && is_tail(static_cast<unsigned char>(s[i]))) --i;
    if (!contains_char(chars, s.substr(i))) break;
    s = s.substr(0, i);
  }
  return s;
}

}  // namespace weir::jinja
