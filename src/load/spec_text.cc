#include "load/spec_text.h"

#include <charconv>
#include <cmath>

namespace weir::load {
namespace {

constexpr double kSecondsMax = 7 * 24 * 3600;

std::string shown(std::string_view text) { return "'" + std::string(text.substr(0, 60)) + "'"; }

std::string plain(double number) {
  char digits[64];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

}  // namespace

Result<double> parse_number(std::string_view text, double min, double max) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number) || number < min ||
      number > max) {
    return invalid_argument(shown(text) + " is no number from " + plain(min) + " to " + plain(max));
  }
  return number;
}

Result<int64_t> parse_whole(std::string_view text, int64_t min, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    return invalid_argument(shown(text) + " is no whole number from " + std::to_string(min) + " to " +
                            std::to_string(max));
  }
  return number;
}

Result<Micros> parse_span(std::string_view text) {
  const size_t unit_at = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view unit = text.substr(unit_at);
  double scale = 1;
  if (unit == "ms") {
    scale = 1e-3;
  } else if (unit == "m") {
    scale = 60;
  } else if (unit == "h") {
    scale = 3600;
  } else if (!unit.empty() && unit != "s") {
    return invalid_argument(shown(text) + " is no duration; write 30s, 500ms, 2m or 1h");
  }
  const Result<double> number = parse_number(text.substr(0, unit_at), 0, kSecondsMax / scale);
  if (!number.ok()) {
    return invalid_argument(shown(text) + " is no duration of at most 7 days; write 30s, 500ms, 2m or 1h");
  }
  return static_cast<Micros>(std::llround(*number * scale * 1e6));
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t at = 0;;) {
    const size_t end = text.find(separator, at);
    parts.push_back(text.substr(at, end == std::string_view::npos ? end : end - at));
    if (end == std::string_view::npos) return parts;
    at = end + 1;
  }
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

NamedSpec named_spec(std::string_view text, char separator) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon), split(text.substr(colon + 1), separator)};
}

}  // namespace weir::load
