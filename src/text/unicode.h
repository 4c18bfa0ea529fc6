// UTF-8 and the character classes that tokenisers ask for, from a table of Unicode 15.
//
// Owner: text room. Any thread; pure functions over constant tables (46 KB). Never allocates except into `out`.
// The table is made by tools/gen_unicode.py, so a regex engine's own Unicode version never leaks into tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

enum UnicodeClass : uint8_t {
  kUnicodeLetter = 1,           // \p{L}
  kUnicodeNumber = 2,           // \p{N}
  kUnicodeSpace = 4,            // White_Space: what \s means to the tokenisers' regex engines
  kUnicodeWord = 8,             // \w: Alphabetic, M, Nd, Pc, Join_Control
  kUnicodePunctuation = 16,     // \p{P}
  kUnicodeMark = 32,            // \p{M}
  kUnicodeNfcInert = 64,        // NFC_QC=Yes and combining class 0: NFC never joins it to what stands before it
};

extern const uint16_t kUnicodeStage1[8704];
extern const uint8_t kUnicodeStage2[];

// cp: 0..0x10FFFF. RETURNS: a set of UnicodeClass bits.
inline uint8_t unicode_class(char32_t cp) {
  return kUnicodeStage2[size_t{kUnicodeStage1[cp >> 7]} * 128 + (cp & 127)];
}

struct CodePoint {
  char32_t value;
  uint32_t bytes;  // 1..4
};

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Bytes of the character whose first byte this is. REQUIRES: the lead byte of valid UTF-8.
inline uint32_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  if (byte < 0x80) return 1;
  return byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// The character at p. REQUIRES: p points at the start of a character of valid UTF-8.
inline CodePoint utf8_decode(const char* p) {
  const auto* b = reinterpret_cast<const unsigned char*>(p);
  if (b[0] < 0x80) return {b[0], 1};
  if (b[0] < 0xE0) return {static_cast<char32_t>((b[0] & 0x1F) << 6 | (b[1] & 0x3F)), 2};
  if (b[0] < 0xF0) return {static_cast<char32_t>((b[0] & 0x0F) << 12 | (b[1] & 0x3F) << 6 | (b[2] & 0x3F)), 3};
  return {static_cast<char32_t>((b[0] & 0x07) << 18 | (b[1] & 0x3F) << 12 | (b[2] & 0x3F) << 6 | (b[3] & 0x3F)), 4};
}

// The last character of valid, non-empty UTF-8.
CodePoint utf8_last(std::string_view text);

void utf8_append(char32_t cp, std::string* out);

// Length of the longest valid prefix in bytes: text.size() when all of it is valid. Overlong forms, surrogates
// and values above U+10FFFF are invalid.
size_t utf8_valid_prefix(std::string_view text);
inline bool utf8_valid(std::string_view text) { return utf8_valid_prefix(text) == text.size(); }

// Decodes bytes that may be broken, piece by piece. Each maximal invalid subpart (Unicode 15, section 3.9,
// U+FFFD substitution) becomes one U+FFFD. *pending keeps at most 3 bytes of a character that may still complete.
void utf8_lossy_append(std::string_view bytes, std::string* pending, std::string* out);
// The end of the bytes: an unfinished character becomes one U+FFFD.
void utf8_lossy_finish(std::string* pending, std::string* out);

}  // namespace weir
