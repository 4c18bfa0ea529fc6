#include "http/log_caught.h"

#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_throttle.h"

namespace weir::http {
namespace {

constexpr Micros kEveryUs = 1'000'000;
constinit LogThrottle throttle{kEveryUs};

}  // namespace

void log_caught(std::string_view fault) noexcept {
  const auto pass = throttle.pass(SteadyClock().now_us());
  if (!pass) return;
  try {
    log_error("http", pass->after(std::string(fault)));
  } catch (const std::exception&) {  // no memory for the longer text
    log_error("http", fault);
  }
}

}  // namespace weir::http
