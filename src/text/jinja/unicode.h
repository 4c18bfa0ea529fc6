// Unicode for Python's string methods: characters in UTF-8 text, classes, and case. Pure functions, any thread;
// those that make a Text need its heap. Every std::string_view here is valid UTF-8 (the JSON reader and the
// template parser checked); a stray byte counts as one character and is never read past.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "text/jinja/heap.h"

namespace weir::jinja {

bool is_ascii(std::string_view s);
bool is_valid_utf8(std::string_view s);
size_t count_chars(std::string_view s);
size_t char_bytes(std::string_view s, size_t at);       // bytes of the character at byte `at`, 1..4
uint32_t char_at(std::string_view s, size_t at);        // its code point
size_t byte_offset(std::string_view s, int64_t chars);  // bytes before character number `chars`
size_t encode_char(uint32_t code_point, char utf8[4]);  // RETURNS: its bytes, 1..4
template <class String>
void append_char(String& out, uint32_t code_point) {
  char utf8[4];
  out.append(utf8, encode_char(code_point, utf8));
}

bool is_space(uint32_t c);       // what str.strip() removes
bool is_line_break(uint32_t c);  // where str.splitlines() splits
bool is_printable(uint32_t c);   // what repr() shows as it is
bool is_alpha(uint32_t c);
bool is_decimal(uint32_t c);
bool is_digit(uint32_t c);
bool is_alnum(uint32_t c);
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);
bool is_cased(uint32_t c);

Text to_upper(std::string_view s);
Text to_lower(std::string_view s);
Text to_capitalized(std::string_view s);  // first character title case, the rest lower
Text to_title(std::string_view s);        // str.title(): every run of letters capitalised
Text to_swapped(std::string_view s);

std::string_view strip_left(std::string_view s);  // white space
std::string_view strip_right(std::string_view s);
std::string_view strip_left(std::string_view s, std::string_view chars);  // any of these characters
std::string_view strip_right(std::string_view s, std::string_view chars);

}  // namespace weir::jinja
