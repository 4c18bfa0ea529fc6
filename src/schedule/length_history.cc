#include "schedule/length_history.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"

namespace weir {

LengthHistory::LengthHistory(double quantile, int64_t unknown_tokens)
    : quantile_(quantile), unknown_tokens_(unknown_tokens) {
  WEIR_CHECK(quantile > 0 && quantile <= 1 && unknown_tokens >= 1);
}

// 16 buckets to the octave above kExact, as HdrHistogram does.
int LengthHistory::bucket_of(int64_t tokens) {
  const auto n = static_cast<uint64_t>(std::clamp<int64_t>(tokens, 0, INT32_MAX));
  if (n < kExact) return static_cast<int>(n);
  const int octave = std::bit_width(n) - 5;  // 16..31 is octave 0
  return kExact + octave * 16 + static_cast<int>((n >> octave) - 16);
}

int64_t LengthHistory::upper_bound(int bucket) {
  if (bucket < kExact) return bucket;
  const int octave = (bucket - kExact) / 16;
  return ((int64_t{16} + (bucket - kExact) % 16 + 1) << octave) - 1;
}

void LengthHistory::add(int64_t output_tokens) {
  const int bucket = bucket_of(output_tokens);
  if (samples_ == kWindow) {
    --counts_[static_cast<size_t>(window_[static_cast<size_t>(next_)])];
  } else {
    ++samples_;
  }
  window_[static_cast<size_t>(next_)] = static_cast<int16_t>(bucket);
  next_ = (next_ + 1) % kWindow;
  ++counts_[static_cast<size_t>(bucket)];
  stale_ = true;
}

// From long to short: above bucket b there are `longer` answers; the quantile among them is found from the top, and
// only moves down as b does.
void LengthHistory::refresh() {
  int64_t longer = 0;
  int top = kBuckets - 1;
  int64_t above_top = 0;  // answers in buckets above `top`
  for (int b = kBuckets - 1; b >= 0; --b) {
    const auto allowed = static_cast<int64_t>(std::floor((1 - quantile_) * static_cast<double>(longer)));
    while (top > b && above_top + counts_[static_cast<size_t>(top)] <= allowed) above_top += counts_[static_cast<size_t>(top--)];
    forecast_[static_cast<size_t>(b)] = static_cast<int16_t>(longer > 0 ? top : -1);
    longer += counts_[static_cast<size_t>(b)];
  }
  stale_ = false;
}

int64_t LengthHistory::remaining(int64_t produced_tokens) {
  if (stale_) refresh();
  const int16_t bucket = forecast_[static_cast<size_t>(bucket_of(produced_tokens))];
  if (bucket < 0) return unknown_tokens_;
  return std::max<int64_t>(1, upper_bound(bucket) - produced_tokens);
}

}  // namespace weir
