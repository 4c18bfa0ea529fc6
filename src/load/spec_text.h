// spec_text: the small texts of load options ("lognormal:200,900", "interactive=0.3") -> numbers. Pure, any thread.
//
// ERRORS everywhere: kInvalidArgument, one line that says what to write instead. Nothing here is trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace weir::load {

// A finite number in [min, max]; the whole text must be one.
Result<double> parse_number(std::string_view text, double min, double max);
Result<int64_t> parse_whole(std::string_view text, int64_t min, int64_t max);
// "30s", "500ms", "2m", "1h"; a plain number is seconds. RETURNS: microseconds in [0, 7 days].
Result<Micros> parse_span(std::string_view text);

std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty parts
std::string_view trimmed(std::string_view text);                             // without blanks at both ends

struct NamedSpec {
  std::string_view name;                  // before the colon
  std::vector<std::string_view> numbers;  // after it, parted by `separator`; empty when there is no colon
};
NamedSpec named_spec(std::string_view text, char separator);

}  // namespace weir::load
