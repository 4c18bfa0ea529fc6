// Deadline: X-Request-Deadline-Ms as a moment of the server's own clock. Pure functions; any thread.
//
// A deadline is turned into the steady clock once, when the head is read: a wall clock that jumps afterwards moves none.
#pragma once

#include <string_view>

#include "api/error.h"
#include "base/clock.h"

namespace weir::api {

inline constexpr std::string_view kDeadlineHeader = "x-request-deadline-ms";

struct DeadlineMoment {
  Micros arrival_us = 0;  // when the head was read, on the server's clock
  Micros now_us = 0;      // on the same clock
  int64_t unix_ms = 0;    // the wall clock at now_us
};

// header: milliseconds from arrival, or a unix time in milliseconds where it is above 10^12.
// RETURNS: the moment on the server's clock, >= 1; it may be over already. ERRORS: kInvalidArgument, with what to send.
Result<Micros> parse_deadline(std::string_view header, const DeadlineMoment& moment);

// 504, with how far the request got: "while its body was being read".
ApiError deadline_passed(std::string_view how_far);
// 400 of a deadline that cannot be read.
ApiError bad_deadline(Status status);
// 409: /admin/abort ended it.
ApiError aborted_by_operator();

}  // namespace weir::api
