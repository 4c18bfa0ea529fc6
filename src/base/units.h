// Byte units: reading "8GiB", printing "8.0 GiB".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weir {

inline constexpr uint64_t kKiB = uint64_t{1} << 10;
inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

// "512", "64KiB", "1.5 GiB", "8GB" (decimal), "2g" (binary, as ulimit users write it). Case-insensitive.
// ERRORS: kInvalidArgument on anything else, on negatives and on more than 2^63-1 bytes.
Result<uint64_t> parse_bytes(std::string_view text);

std::string format_bytes(uint64_t bytes);   // "12.3 MiB", "0 B"; three significant digits at least
std::string format_count(uint64_t number);  // "1,234,567"

constexpr uint64_t round_up(uint64_t value, uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace weir
