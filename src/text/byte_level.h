// The byte-level alphabet of GPT-2: every byte has a printable character of its own, so that a vocabulary of
// bytes can be written as JSON strings. Printable Latin-1 bytes stand for themselves, the 68 others for
// U+0100..U+0143 in order.
//
// Owner: text room. Any thread; constant tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

char32_t byte_level_char(uint8_t byte);

// Appends the characters of these bytes.
void byte_level_encode(std::string_view bytes, std::string* out);

// Appends the bytes these characters stand for. RETURNS: false, with *out as it was, when a character is not in
// the alphabet. REQUIRES: valid UTF-8.
bool byte_level_decode(std::string_view text, std::string* out);

}  // namespace weir
