#include "base/python_json.h"

#include <array>

namespace weir {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kNotFinite = "1e999";
constexpr std::array<std::string_view, 2> kNames = {"NaN", "Infinity"};  // a minus before one of them stays

bool word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// RETURNS: the length of the name that stands at `at`, else 0.
size_t name_at(std::string_view text, size_t at) {
  if (at > 0 && word_byte(text[at - 1])) return 0;
  for (const std::string_view name : kNames) {
    const size_t end = at + name.size();
    if (text.substr(at, name.size()) == name && (end == text.size() || !word_byte(text[end]))) return name.size();
  }
  return 0;
}

// The end of the string that begins at the quote `at`, its closing quote included.
size_t after_string(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

}  // namespace

std::string_view plain_json(std::string_view text, std::string* buffer) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  size_t copied = 0;
  buffer->clear();
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = after_string(text, at);
      continue;
    }
    const size_t length = text[at] == 'N' || text[at] == 'I' ? name_at(text, at) : 0;
    if (length > 0) {
      buffer->append(text.substr(copied, at - copied)).append(kNotFinite);
      copied = at + length;
    }
    at += length > 0 ? length : 1;
  }
  if (copied == 0) return text;
  buffer->append(text.substr(copied));
  return *buffer;
}

}  // namespace weir
