#include "load/json_text.h"

#include <charconv>
#include <cmath>

namespace weir {
namespace {

// Valid UTF-8 is kept; each byte that breaks it becomes U+FFFD. Terminals paste what they like.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
  const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned char first = byte(at), second = byte(at + 1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(at + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && second < 0xA0;
    const bool surrogate = first == 0xED && second > 0x9F;
    return tail(at + 1) && tail(at + 2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool outside = (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
    return tail(at + 1) && tail(at + 2) && tail(at + 3) && !outside ? 4 : 0;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string* out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  *out += '"';
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text, at);
    const auto c = static_cast<unsigned char>(text[at]);
    if (length == 0) {
      *out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out->append({'\\', static_cast<char>(c)});
    } else if (c < 0x20) {
      out->append("\\u00").append({kHex[c >> 4], kHex[c & 15]});
    } else {
      out->append(text.substr(at, length));
    }
    at += length == 0 ? 1 : length;
  }
  *out += '"';
}

void JsonWriter::comma() {
  if (!text_.empty() && text_.back() != '{' && text_.back() != '[' && text_.back() != ':') text_ += ',';
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  append_json_string(&text_, name);
  text_ += ':';
  return *this;
}

JsonWriter& JsonWriter::open(char bracket) {
  comma();
  text_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  text_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  comma();
  append_json_string(&text_, text);
  return *this;
}

JsonWriter& JsonWriter::value(int64_t number) {
  comma();
  text_ += std::to_string(number);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  comma();
  char digits[64];
  const double rounded = std::abs(number) < 1e12 ? std::round(number * 1e6) / 1e6 : number;
  text_.append(digits, std::to_chars(digits, digits + sizeof digits, rounded).ptr);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool yes) {
  comma();
  text_ += yes ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  comma();
  text_ += "null";
  return *this;
}

}  // namespace weir
