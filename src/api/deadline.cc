#include "api/deadline.h"

#include <algorithm>
#include <charconv>

#include "admission/front_door.h"

namespace weir::api {
namespace {

constexpr int64_t kAbsoluteFrom = 1'000'000'000'000;  // ms: 2001 as a unix time, 31 years as a duration
constexpr const char* kExpected =
    "X-Request-Deadline-Ms must be milliseconds from now, 1 or more, or a unix time in milliseconds (above 1000000000000)";

}  // namespace

Result<Micros> parse_deadline(std::string_view header, const DeadlineMoment& moment) {
  int64_t value = 0;
  const char* const end = header.data() + header.size();
  const auto [stopped, error] = std::from_chars(header.data(), end, value);
  if (error != std::errc() || stopped != end || value < 1) return invalid_argument(kExpected);
  if (value <= kAbsoluteFrom) return moment.arrival_us + value * 1000;
  const int64_t left_ms = std::clamp(value - moment.unix_ms, -kAbsoluteFrom, kAbsoluteFrom);
  return std::max<Micros>(1, moment.now_us + left_ms * 1000);
}

ApiError deadline_passed(std::string_view how_far) {
  return {.status = {Code::kDeadlineExceeded, "the request's deadline passed " + std::string(how_far),
                     refusal_name(Refusal::kDeadline)}};
}

ApiError bad_deadline(Status status) { return {.status = std::move(status), .code = "invalid_deadline"}; }

ApiError aborted_by_operator() {
  return {.status = {Code::kCancelled, "the request was ended by an operator of the server", refusal_name(Refusal::kAborted)},
          .code = "aborted",
          .http = 409};
}

}  // namespace weir::api
