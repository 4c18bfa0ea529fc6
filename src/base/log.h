// One-line logs to stderr: "2026-11-23T02:00:00.123Z INFO engine: text". Any thread, sealed ones too: a line takes
// no allocation of its own. In a server no thread waits for its reader (base/output.h); elsewhere a line is one
// write(2). Never called per token; what may repeat goes through a LogThrottle (base/log_throttle.h). Callers
// format (fmt) only after log_enabled() says the level is on.
#pragma once

#include <string_view>

#include "base/status.h"

namespace weir {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
// ERRORS: kInvalidArgument; the accepted words are debug, info, warning, error, off (any case).
Result<LogLevel> parse_log_level(std::string_view word);

void log_line(LogLevel level, std::string_view area, std::string_view text);
inline void log_debug(std::string_view area, std::string_view text) { log_line(LogLevel::kDebug, area, text); }
inline void log_info(std::string_view area, std::string_view text) { log_line(LogLevel::kInfo, area, text); }
inline void log_warning(std::string_view area, std::string_view text) { log_line(LogLevel::kWarning, area, text); }
inline void log_error(std::string_view area, std::string_view text) { log_line(LogLevel::kError, area, text); }

}  // namespace weir
