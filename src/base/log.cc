#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <string>

#include "base/log_text.h"
#include "base/output.h"

namespace weir {
namespace {

constexpr std::string_view kCut = "... (cut)";

std::atomic<LogLevel> g_level{LogLevel::kInfo};

const char* level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO";
    case LogLevel::kWarning: return "WARNING";
    case LogLevel::kError: return "ERROR";
    case LogLevel::kOff: break;
  }
  return "OFF";
}

size_t write_timestamp(std::span<char> memory) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  const size_t date = strftime(memory.data(), memory.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return date + static_cast<size_t>(
                    std::snprintf(memory.data() + date, memory.size() - date, ".%03ldZ", now.tv_nsec / 1'000'000));
}

}  // namespace

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }
bool log_enabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

const char* log_level_word(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "text";
}

Result<LogLevel> parse_log_level(std::string_view word) {
  std::string lower;
  for (char c : word) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  if (lower == "debug") return LogLevel::kDebug;
  if (lower == "info") return LogLevel::kInfo;
  if (lower == "warning" || lower == "warn") return LogLevel::kWarning;
  if (lower == "error" || lower == "critical") return LogLevel::kError;
  if (lower == "off") return LogLevel::kOff;
  return invalid_argument("log level '" + std::string(word) + "' is not one of debug, info, warning, error, off");
}

std::string_view compose_log_line(LogLevel level, std::string_view area, std::string_view text,
                                  std::span<char> memory) {
  size_t size = write_timestamp(memory);
  const size_t most = kLogLineBytesMax - kCut.size() - 1;
  bool whole = true;
  const auto append = [&](std::string_view piece) {
    whole = whole && piece.size() <= most - size;
    for (const char c : piece.substr(0, most - size)) memory[size++] = (c == '\n' || c == '\r') ? ' ' : c;
  };
  for (const std::string_view piece : {std::string_view(" "), std::string_view(level_name(level)),
                                       std::string_view(" "), area, std::string_view(": "), text}) {
    append(piece);
  }
  if (!whole) size += kCut.copy(memory.data() + size, kCut.size());
  memory[size++] = '\n';
  return {memory.data(), size};
}

void log_line(LogLevel level, std::string_view area, std::string_view text) {
  if (!log_enabled(level) || level == LogLevel::kOff) return;
  char memory[kLogLineBytesMax];
  write_output(STDERR_FILENO, level, compose_log_line(level, area, text, memory));
}

}  // namespace weir
