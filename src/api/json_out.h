// JSON text by hand: strings, numbers and nothing else. Used per token, so it appends to the caller's buffer and
// allocates only when that grows.
//
// Pure functions; any thread. The result is valid JSON for every input: bytes that are not UTF-8 become U+FFFD,
// numbers that are not finite become null (append_logprob: -9999, the value OpenAI uses for "never").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::api {

void append_json_string(std::string_view text, std::string* out);   // with quotes
void append_json_escaped(std::string_view text, std::string* out);  // without
size_t json_string_bytes(std::string_view text);  // what append_json_string appends, exactly
void append_integer(int64_t number, std::string* out);
void append_number(double number, std::string* out);  // shortest text that reads back as the same double
void append_logprob(float number, std::string* out);

// Length of the UTF-8 character at the front of `text`, or 0 where there is none (truncated, overlong, surrogate,
// above U+10FFFF). REQUIRES: !text.empty()
size_t utf8_length(std::string_view text);
bool valid_utf8(std::string_view text);
size_t count_code_points(std::string_view utf8);  // REQUIRES: valid UTF-8

}  // namespace weir::api
