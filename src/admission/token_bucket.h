// TokenBucket: tokens per minute of one tenant. Holds one minute's tokens at most, fills evenly, and goes into
// debt: a request is let in while there is any token, and what it then takes is taken whole, so that no size is
// refused for ever.
//
// Owner and thread: whoever holds the FrontDoor's mutex. Integers alone: no token is lost or made by rounding. Time
// that jumps back fills nothing until it has passed the latest time seen; a jump forward fills one bucket at most.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir {

class TokenBucket {
 public:
  // tokens_per_minute: [1, 1e9], or 0 for no limit. A bucket that had no limit begins full; another keeps what it
  // has, up to the new rate, debt included.
  void set_rate(int64_t tokens_per_minute, Micros now);

  bool limited() const { return rate_ > 0; }
  int64_t tokens_per_minute() const { return rate_; }

  void settle(Micros now);    // fills up to this time
  void take(int64_t tokens);  // [0, 1e9]; debt stops growing at 1e10 tokens
  void put_back(int64_t tokens);

  // As of the last settle(). Without a limit: as if full.
  bool has_tokens() const { return rate_ == 0 || level_ > 0; }
  int64_t tokens() const;                    // whole ones, rounded down; negative: debt
  Micros until_tokens_us(Micros now) const;  // 0 when has_tokens()
  Micros until_full_us(Micros now) const;

 private:
  // One token is kUnits, so that a microsecond is worth rate_ units.
  static constexpr int64_t kUnits = 60'000'000;
  static constexpr int64_t kDebtTokensMax = 10'000'000'000;
  int64_t full() const { return rate_ * kUnits; }
  Micros until_level_us(int64_t level, Micros now) const;

  int64_t rate_ = 0;   // tokens per minute
  int64_t level_ = 0;  // in units
  Micros seen_ = 0;    // the latest time seen
};

}  // namespace weir
