// LogThrottle: at most one line a period from one site, and the next one says how many were left out.
//
//   if (const auto pass = throttle.pass(now)) log_error("engine", pass->after("the pool could not grow: " + why));
//
// A value of the site that logs. Any thread; a site's text is made only where it passes.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace weir {

class LogThrottle {
 public:
  class Pass {
   public:
    explicit Pass(uint64_t left_out) : left_out_(left_out) {}
    std::string after(std::string text) const;  // "text (and 7 more since the last such line)"

   private:
    const uint64_t left_out_;
  };

  explicit constexpr LogThrottle(Micros period_us) : period_us_(period_us) {}

  // now_us: monotonic. RETURNS: nothing where the site has logged within the period.
  std::optional<Pass> pass(Micros now_us);

 private:
  static constexpr Micros kNever = INT64_MIN;
  const Micros period_us_;
  std::atomic<Micros> last_us_{kNever};
  std::atomic<uint64_t> left_out_{0};
};

}  // namespace weir
