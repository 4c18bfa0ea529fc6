// values: text of one setting -> number, with an error that says what to write instead.
//
// Pure functions, any thread, except read_api_keys_file(), which opens one file. No value here is trusted: sizes of
// text and file are bounded before anything is copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

inline constexpr size_t kApiKeysMax = 1024;
inline constexpr size_t kApiKeyBytesMax = 256;

// ERRORS: kInvalidArgument when the text is no whole number in [min, max]; the message names both ends.
Result<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max);

// true|on|yes|1 and false|off|no|0, any case.
Result<bool> parse_bool(std::string_view text);

// "30s", "500ms", "2m", "1h", "1.5s"; a plain number is seconds. RETURNS: milliseconds in [0, 7 days].
Result<int64_t> parse_duration_ms(std::string_view text);

// The KV share as --cache-max-entry-count takes it: a ratio in (0, 1], a whole number of blocks > 1, or a size with
// a unit. Only checks; memory/plan gives it its meaning.
Status check_cache_share(std::string_view text);

// A key that a client can send in an HTTP header: printable ASCII without spaces, 1 to 256 bytes.
Status check_api_key(std::string_view key);

// One key per line; empty lines and lines that begin with # are left out.
// MODIFIES: warnings, when other users of the machine may read the file.
// ERRORS: kNotFound, kInvalidArgument (no key, a bad key, more than 1024 keys, more than 1 MiB).
Result<std::vector<std::string>> read_api_keys_file(const std::string& path, std::vector<std::string>* warnings);

// RETURNS: whether users other than the owner and group may read the file; false when it cannot be looked at.
bool world_readable(const std::string& path);

std::vector<std::string> split_words(std::string_view text, std::string_view separators);

}  // namespace weir
