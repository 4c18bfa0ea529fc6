#include "base/log_throttle.h"

namespace weir {

std::string LogThrottle::Pass::after(std::string text) const {
  if (left_out_ > 0) text += " (and " + std::to_string(left_out_) + " more since the last such line)";
  return text;
}

std::optional<LogThrottle::Pass> LogThrottle::pass(Micros now_us) {
  Micros last = last_us_.load(std::memory_order_relaxed);
  const bool due = last == kNever || now_us - last >= period_us_;
  if (!due || !last_us_.compare_exchange_strong(last, now_us, std::memory_order_relaxed)) {
    left_out_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return Pass(left_out_.exchange(0, std::memory_order_relaxed));
}

}  // namespace weir
