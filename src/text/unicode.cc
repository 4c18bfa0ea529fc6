#include "text/unicode.h"

#include <cstring>

namespace weir {

#include "text/unicode_tables.inc"

namespace {

struct Subpart {
  uint32_t bytes;   // how far the character, or its valid beginning, reaches
  bool complete;    // a whole character
  bool may_go_on;   // the text ended inside a character that is valid so far
};

bool second_byte_ok(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xE0: return second >= 0xA0 && second <= 0xBF;  // no overlong forms
    case 0xED: return second >= 0x80 && second <= 0x9F;  // no surrogates
    case 0xF0: return second >= 0x90 && second <= 0xBF;
    case 0xF4: return second >= 0x80 && second <= 0x8F;  // nothing above U+10FFFF
    default: return (second & 0xC0) == 0x80;
  }
}

// REQUIRES: size > 0.
Subpart next_subpart(const unsigned char* p, size_t size) {
  const unsigned char lead = p[0];
  if (lead < 0x80) return {1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, false};
  const uint32_t need = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (uint32_t i = 1; i < need; ++i) {
    if (i == size) return {i, false, true};
    if (i == 1 ? !second_byte_ok(lead, p[1]) : (p[i] & 0xC0) != 0x80) return {i, false, false};
  }
  return {need, true, false};
}

size_t ascii_prefix(const char* p, size_t size) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    std::memcpy(&word, p + i, 8);
    if (word & 0x8080808080808080u) break;
  }
  while (i < size && static_cast<unsigned char>(p[i]) < 0x80) ++i;
  return i;
}

}  // namespace

CodePoint utf8_last(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return utf8_decode(text.data() + at);
}

void utf8_append(char32_t cp, std::string* out) {
  if (cp < 0x80) {
    out->push_back(static_cast<char>(cp));
  } else if (cp < 0x800) {
    out->push_back(static_cast<char>(0xC0 | cp >> 6));
    out->push_back(static_cast<char>(0x80 | (cp & 0x3F)));
  } else if (cp < 0x10000) {
    out->push_back(static_cast<char>(0xE0 | cp >> 12));
    out->push_back(static_cast<char>(0x80 | (cp >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (cp & 0x3F)));
  } else {
    out->push_back(static_cast<char>(0xF0 | cp >> 18));
    out->push_back(static_cast<char>(0x80 | (cp >> 12 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (cp >> 6 & 0x3F)));
    out->push_back(static_cast<char>(0x80 | (cp & 0x3F)));
  }
}

size_t utf8_valid_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    at += ascii_prefix(text.data() + at, text.size() - at);
    if (at == text.size()) break;
    const Subpart part =
        next_subpart(reinterpret_cast<const unsigned char*>(text.data()) + at, text.size() - at);
    if (!part.complete) break;
    at += part.bytes;
  }
  return at;
}

void utf8_lossy_append(std::string_view bytes, std::string* pending, std::string* out) {
  std::string joined;
  if (!pending->empty()) {
    joined = *pending;
    joined += bytes;
    bytes = joined;
    pending->clear();
  }
  while (!bytes.empty()) {
    const size_t good = utf8_valid_prefix(bytes);
    out->append(bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) return;
    const Subpart part = next_subpart(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    if (part.may_go_on) {
      pending->assign(bytes);
      return;
    }
    out->append(kReplacementCharacter);
    bytes.remove_prefix(part.bytes);
  }
}

void utf8_lossy_finish(std::string* pending, std::string* out) {
  if (!pending->empty()) out->append(kReplacementCharacter);
  pending->clear();
}

}  // namespace weir
