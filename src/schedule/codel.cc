#include "schedule/codel.h"

#include <algorithm>
#include <cmath>

namespace weir {

Codel::Codel(Micros target_us) : target_us_(target_us), interval_us_(std::max(target_us, kIntervalMin)) {}

Micros Codel::next_after(Micros when) const {
  return when + static_cast<Micros>(static_cast<double>(interval_us_) / std::sqrt(static_cast<double>(count_)));
}

bool Codel::above_for_an_interval(Micros waited_us, bool others_wait) {
  if (waited_us < target_us_ || !others_wait) {
    above_since_ = kNever;
    return false;
  }
  if (above_since_ == kNever) above_since_ = now_;
  return now_ - above_since_ >= interval_us_;
}

bool Codel::expires(Micros waited_us, bool others_wait, Micros now) {
  if (target_us_ <= 0) return false;
  now_ = std::max(now_, now);
  if (!above_for_an_interval(waited_us, others_wait)) {
    dropping_ = false;
    return false;
  }
  if (dropping_) {
    if (now_ < next_us_) return false;
    ++count_;
    next_us_ = next_after(next_us_);
  } else {
    // An episode soon after the last one goes on at about the rate that had brought the queue down (RFC 8289, 5.4).
    const uint32_t reached = count_ - last_count_;
    count_ = reached > 1 && now_ - next_us_ < 16 * interval_us_ ? reached : 1;
    last_count_ = count_;
    dropping_ = true;
    next_us_ = next_after(now_);
  }
  ++expired_;
  return true;
}

}  // namespace weir
