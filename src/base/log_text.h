// log_text: how one log line looks: "2026-11-23T02:00:00.123Z INFO engine: text\n". Internal to the log and its
// writer.
//
// Thread: any, sealed ones too: nothing is allocated. A line is at most kLogLineBytesMax long; a longer one says
// that it was cut.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/log.h"

namespace weir {

inline constexpr size_t kLogLineBytesMax = 16 * 1024;

// Line breaks in area and text become blanks: a hostile string cannot forge a second line.
// RETURNS: the filled front of memory, which has kLogLineBytesMax bytes.
std::string_view compose_log_line(LogLevel level, std::string_view area, std::string_view text,
                                  std::span<char> memory);

// "info"; "text" for kOff, which stands for output that is no log line.
const char* log_level_word(LogLevel level);

}  // namespace weir
