#include "config/values.h"

#include <charconv>
#include <cmath>

#include "base/units.h"

namespace weir {
namespace {

constexpr int64_t kDurationMsMax = int64_t{7} * 24 * 3600 * 1000;

std::string lower(std::string_view text) {
  std::string result;
  for (char c : text) result += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return result;
}

// What came from outside, shortened so that a message stays one line.
std::string quoted(std::string_view text) {
  std::string shown = "'";
  for (char c : text.substr(0, 60)) shown += (c < ' ' || c == 127) ? '?' : c;
  return shown + (text.size() > 60 ? "...'" : "'");
}

double unit_ms(std::string_view unit) {
  if (unit.empty() || unit == "s") return 1000;
  if (unit == "ms") return 1;
  if (unit == "m" || unit == "min") return 60'000;
  if (unit == "h") return 3'600'000;
  return 0;
}

}  // namespace

Result<int64_t> parse_integer(std::string_view text, int64_t min, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string range = std::to_string(min) + " to " + std::to_string(max);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    return invalid_argument(quoted(text) + " is not a whole number; choose " + range);
  }
  if (error != std::errc() || number < min || number > max) {
    return invalid_argument(quoted(text) + " is out of range; choose " + range);
  }
  return number;
}

Result<bool> parse_bool(std::string_view text) {
  const std::string word = lower(text);
  if (word == "true" || word == "on" || word == "yes" || word == "1") return true;
  if (word == "false" || word == "off" || word == "no" || word == "0") return false;
  return invalid_argument(quoted(text) + " is neither on nor off; write on or off");
}

Result<int64_t> parse_duration_ms(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const double scale = unit_ms(lower(text.substr(static_cast<size_t>(end - text.data()))));
  if (error != std::errc() || scale == 0 || !std::isfinite(number)) {
    return invalid_argument(quoted(text) + " is not a duration; write for example 30s, 500ms or 2m");
  }
  const double ms = std::round(number * scale);
  if (!(ms >= 0 && ms <= static_cast<double>(kDurationMsMax))) {
    return invalid_argument(quoted(text) + " is out of range; choose 0 to 168h");
  }
  return static_cast<int64_t>(ms);
}

Status check_cache_share(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument(
        quoted(text) +
        " is no KV share; write a ratio above 0 and up to 1 (0.8), a whole number of blocks above "
        "1 (4096), or a size with its unit (8GiB)");
  };
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !(number > 0)) return bad();
  if (text.find_first_of("eExX") != std::string_view::npos) return bad();  // 1e9 and 0x10 are not how sizes are written
  if (end != text.data() + text.size()) {
    const Result<uint64_t> bytes = parse_bytes(text);
    return bytes.ok() && *bytes > 0 ? ok_status() : bad();
  }
  const bool blocks = text.find('.') == std::string_view::npos && number <= 1e12;
  return number <= 1 || blocks ? ok_status() : bad();
}

Status check_api_key(std::string_view key) {
  if (key.empty()) return invalid_argument("an API key is empty; leave it out or write one");
  if (key.size() > kApiKeyBytesMax) return invalid_argument("an API key is longer than 256 bytes");
  for (char c : key) {
    if (c <= ' ' || c > '~') {
      return invalid_argument("an API key contains a space or a character that is not printable ASCII");
    }
  }
  return ok_status();
}

std::vector<std::string> split_words(std::string_view text, std::string_view separators) {
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(separators, at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

}  // namespace weir
