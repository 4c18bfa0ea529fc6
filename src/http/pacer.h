// Pacer: when work may be done again that serves nobody, such as saying no. One number, the generic cell rate
// algorithm (ITU-T I.371): a burst at once, then one piece an interval, each told its moment when it is booked.
//
// A value; one thread. Nothing waits here: what is booked for later is somebody's to hold back.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::http {

struct PaceRule {
  int64_t interval_us = 0;   // between two pieces; 0: no limit
  int64_t burst = 0;         // pieces at once after a rest
  int64_t ahead_us_max = 0;  // nothing is booked for later than so long from now
};

class Pacer {
 public:
  // RETURNS: the moment, now_us or later, at which `cost` pieces may be done.
  int64_t book(const PaceRule& rule, int64_t now_us, int cost) {
    if (rule.interval_us == 0) return now_us;
    const int64_t begin_us = std::max(next_us_, now_us - rule.burst * rule.interval_us);
    if (begin_us > now_us + rule.ahead_us_max) return now_us + rule.ahead_us_max;
    next_us_ = begin_us + cost * rule.interval_us;
    return std::max(begin_us, now_us);
  }
  // So many pieces more may be done: others were not, or were worth it.
  void credit(const PaceRule& rule, int pieces) { next_us_ -= pieces * rule.interval_us; }

 private:
  int64_t next_us_ = 0;
};

}  // namespace weir::http
