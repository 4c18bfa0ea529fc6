#include "api/json_out.h"

#include <array>
#include <charconv>
#include <cmath>

namespace weir::api {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// true: may be copied as it is. Everything from 0x80 on is looked at, because U+2028 and bad bytes hide there.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x80; ++c) plain[static_cast<size_t>(c)] = c != '"' && c != '\\';
  return plain;
}();

void append_control(unsigned char c, std::string* out) {
  switch (c) {
    case '"': out->append("\\\""); return;
    case '\\': out->append("\\\\"); return;
    case '\n': out->append("\\n"); return;
    case '\r': out->append("\\r"); return;
    case '\t': out->append("\\t"); return;
    case '\b': out->append("\\b"); return;
    case '\f': out->append("\\f"); return;
    default: break;
  }
  constexpr char kHex[] = "0123456789abcdef";
  const char text[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
  out->append(text, sizeof(text));
}

// U+2028 and U+2029 end a line in JavaScript before ES2019, and in careless SSE readers.
bool is_line_separator(std::string_view character) {
  return character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9";
}

// RETURNS: bytes of `text` consumed, at least 1.
size_t append_beyond_ascii(std::string_view text, std::string* out) {
  const size_t length = utf8_length(text);
  if (length == 0) {
    out->append(kReplacement);
    return 1;
  }
  const std::string_view character = text.substr(0, length);
  if (is_line_separator(character)) {
    out->append(character.back() == '\xA8' ? "\\u2028" : "\\u2029");
  } else {
    out->append(character);
  }
  return length;
}

bool continues(std::string_view text, size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  const auto second = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
  if (lead >= 0xC2 && lead <= 0xDF) return continues(text, 1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;  // overlong, surrogate
    return continues(text, 1) && continues(text, 2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;  // overlong, too large
    return continues(text, 1) && continues(text, 2) && continues(text, 3) ? 4 : 0;
  }
  return 0;
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

size_t count_code_points(std::string_view utf8) {
  size_t count = 0;
  for (const char c : utf8) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

void append_json_escaped(std::string_view text, std::string* out) {
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && kPlain[static_cast<unsigned char>(text[end])]) ++end;
    out->append(text, at, end - at);
    at = end;
    if (at == text.size()) return;
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80) {
      append_control(c, out);
      ++at;
    } else {
      at += append_beyond_ascii(text.substr(at), out);
    }
  }
}

// The same walk as append_json_escaped, run character by character into a buffer that never leaves the stack.
size_t json_string_bytes(std::string_view text) {
  size_t bytes = 2;
  std::string one;  // at most six bytes: never on the heap
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (kPlain[c]) {
      ++bytes;
      ++at;
      continue;
    }
    one.clear();
    if (c < 0x80) {
      append_control(c, &one);
      ++at;
    } else {
      at += append_beyond_ascii(text.substr(at), &one);
    }
    bytes += one.size();
  }
  return bytes;
}

void append_json_string(std::string_view text, std::string* out) {
  out->push_back('"');
  append_json_escaped(text, out);
  out->push_back('"');
}

void append_integer(int64_t number, std::string* out) {
  char text[24];
  out->append(text, std::to_chars(text, text + sizeof(text), number).ptr);
}

void append_number(double number, std::string* out) {
  if (!std::isfinite(number)) {
    out->append("null");
    return;
  }
  char text[32];
  out->append(text, std::to_chars(text, text + sizeof(text), number).ptr);
}

void append_logprob(float number, std::string* out) {
  constexpr float kNever = -9999.0f;
  char text[32];
  const float shown = std::isnan(number) || number < kNever ? kNever : std::isinf(number) ? 0.0f : number;
  out->append(text, std::to_chars(text, text + sizeof(text), shown).ptr);
}

}  // namespace weir::api
