#include "api/contain.h"

#include "admission/front_door.h"
#include "base/check.h"
#include "base/log.h"

namespace weir::api {

void log_thrown(const char* what) noexcept {
  try {
    log_error("api", what);
  } catch (const std::exception&) {  // the counter still tells that there was one
  }
}

ApiError error_of(Thrown thrown) {
  WEIR_CHECK(thrown != Thrown::kNothing);
  if (thrown == Thrown::kOutOfMemory) {
    return {.status = {Code::kUnavailable,
                       "the server had no memory for this request; others are not affected, try again later",
                       refusal_name(Refusal::kOutOfMemory)}};
  }
  return {.status = {Code::kInternal, "this request failed inside the server; others are not affected",
                     refusal_name(Refusal::kUnexpected)}};
}

}  // namespace weir::api
