// Codel: whether urgent work that comes to the head of the queue is to expire, because the queue stands.
//
// The control law of Nichols and Jacobson ("Controlling Queue Delay", ACM Queue 2012; RFC 8289) on the time that a
// sequence waited, asked when it would start: while every one of them has waited longer than the target for a whole
// interval, one expires, and then further ones at distances of interval / sqrt(count) until somebody has waited
// less. A burst that drains by itself expires nobody; a queue that stands loses its oldest, whose client has given
// up first.
//
// The interval. For packets the target is 5 to 10 % of the interval, because the senders' reaction, a round trip,
// takes so much longer than the delay that is wanted. Here the target is seconds, chosen by the operator as what a
// person waits, and a client reacts as soon as it is told (Retry-After is of the same order): the interval is the
// target itself, and at least kIntervalMin, so that one slow step is no standing queue.
//
// Asked for classes of kind kUrgent alone; standard and background work is never asked about and never counts.
// Owner: the scheduler, on the engine thread. Pure: time is an argument; one that goes back is taken to stand
// still. It never allocates.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir {

class Codel {
 public:
  static constexpr Micros kIntervalMin = 100'000;

  // target: 0 turns it off.
  explicit Codel(Micros target_us);

  // At the moment in which an urgent sequence would start. waited_us: since its arrival; less than 0 counts as 0.
  // others_wait: urgent ones behind it; the last one never expires, since nobody gains by it.
  // RETURNS: true when it is to expire instead; the caller then asks about the next one.
  bool expires(Micros waited_us, bool others_wait, Micros now);
  // No urgent work waits: whatever stood has drained.
  void queue_empty() {
    above_since_ = kNever;
    dropping_ = false;
  }

  bool standing() const { return dropping_; }
  uint64_t expired() const { return expired_; }
  Micros target_us() const { return target_us_; }

 private:
  static constexpr Micros kNever = -1;
  bool above_for_an_interval(Micros waited_us, bool others_wait);
  Micros next_after(Micros when) const;

  const Micros target_us_, interval_us_;
  Micros now_ = 0;
  Micros above_since_ = kNever;
  bool dropping_ = false;
  Micros next_us_ = 0;       // while dropping: the next one expires from then on
  uint32_t count_ = 0;       // in this episode
  uint32_t last_count_ = 0;  // at the beginning of this episode
  uint64_t expired_ = 0;
};

}  // namespace weir
