#include "admission/token_bucket.h"

#include <algorithm>

namespace weir {

void TokenBucket::set_rate(int64_t tokens_per_minute, Micros now) {
  settle(now);
  const bool fresh = rate_ == 0;
  rate_ = tokens_per_minute;
  level_ = fresh ? full() : std::min(level_, full());
}

void TokenBucket::settle(Micros now) {
  if (now <= seen_) return;
  const Micros passed = now - seen_;
  seen_ = now;
  if (rate_ == 0) return;
  const Micros enough = (full() - level_ + rate_ - 1) / rate_;  // compared first: passed x rate_ may not overflow
  level_ = passed >= enough ? full() : level_ + passed * rate_;
}

void TokenBucket::take(int64_t tokens) {
  if (rate_ == 0) return;
  level_ = std::max(level_ - tokens * kUnits, -kDebtTokensMax * kUnits);
}

void TokenBucket::put_back(int64_t tokens) {
  if (rate_ > 0) level_ = std::min(level_ + tokens * kUnits, full());
}

int64_t TokenBucket::tokens() const { return level_ >= 0 ? level_ / kUnits : -((-level_ + kUnits - 1) / kUnits); }

Micros TokenBucket::until_level_us(int64_t level, Micros now) const {
  if (level_ >= level) return 0;
  return (level - level_ + rate_ - 1) / rate_ + std::max<Micros>(seen_ - now, 0);
}

Micros TokenBucket::until_tokens_us(Micros now) const { return rate_ == 0 ? 0 : until_level_us(1, now); }
Micros TokenBucket::until_full_us(Micros now) const { return rate_ == 0 ? 0 : until_level_us(full(), now); }

}  // namespace weir
