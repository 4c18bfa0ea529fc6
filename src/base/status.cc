#include "base/status.h"

#include "base/check.h"

namespace weir {

const char* code_name(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidArgument: return "invalid_argument";
    case Code::kUnauthenticated: return "unauthenticated";
    case Code::kNotFound: return "not_found";
    case Code::kTooLarge: return "too_large";
    case Code::kResourceExhausted: return "resource_exhausted";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadlineExceeded: return "deadline_exceeded";
    case Code::kCancelled: return "cancelled";
    case Code::kFailedPrecondition: return "failed_precondition";
    case Code::kUnimplemented: return "unimplemented";
    case Code::kDataLoss: return "data_loss";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

Status invalid_argument(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }
Status data_loss(std::string message) { return {Code::kDataLoss, std::move(message)}; }
Status not_found(std::string message) { return {Code::kNotFound, std::move(message)}; }
Status failed_precondition(std::string message) { return {Code::kFailedPrecondition, std::move(message)}; }
Status internal_error(std::string message) { return {Code::kInternal, std::move(message)}; }

void die_bad_result_access(const Status& status) {
  check_failed("Result::value()", __FILE__, __LINE__, status.message());
}

}  // namespace weir
