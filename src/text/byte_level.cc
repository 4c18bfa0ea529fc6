#include "text/byte_level.h"

#include <array>

#include "text/unicode.h"

namespace weir {
namespace {

constexpr char32_t kShifted = 0x100;  // first character for bytes that do not stand for themselves

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct Alphabet {
  std::array<char32_t, 256> chars{};
  std::array<int16_t, 0x144> bytes{};  // by character; -1 where there is none

  constexpr Alphabet() {
    for (auto& byte : bytes) byte = -1;
    char32_t next = kShifted;
    for (int b = 0; b < 256; ++b) {
      chars[b] = stands_for_itself(b) ? static_cast<char32_t>(b) : next++;
      bytes[chars[b]] = static_cast<int16_t>(b);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

char32_t byte_level_char(uint8_t byte) { return kAlphabet.chars[byte]; }

void byte_level_encode(std::string_view bytes, std::string* out) {
  for (const char c : bytes) utf8_append(byte_level_char(static_cast<uint8_t>(c)), out);
}

bool byte_level_decode(std::string_view text, std::string* out) {
  const size_t before = out->size();
  for (size_t at = 0; at < text.size();) {
    const CodePoint cp = utf8_decode(text.data() + at);
    if (cp.value >= kAlphabet.bytes.size() || kAlphabet.bytes[cp.value] < 0) {
      out->resize(before);
      return false;
    }
    out->push_back(static_cast<char>(kAlphabet.bytes[cp.value]));
    at += cp.bytes;
  }
  return true;
}

}  // namespace weir
