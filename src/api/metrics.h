// The counters and histograms that this room keeps itself. Everything else in /metrics is read from its owner at
// scrape time (metrics_text.h).
//
// Any thread; relaxed atomics, no locks, fixed size. A scrape may see a request counted in one histogram and not yet
// in another; no value ever goes back.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "http/server.h"

namespace weir::api {

// Fixed buckets; upper bounds in seconds, ascending; the last, +Inf, is implied.
class Histogram {
 public:
  static constexpr size_t kBucketsMax = 24;
  explicit Histogram(std::span<const double> bounds);

  void observe_us(Micros us);  // negative counts as 0

  std::span<const double> bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const { return counts_[i].load(std::memory_order_relaxed); }  // not cumulative
  double sum_seconds() const { return static_cast<double>(sum_us_.load(std::memory_order_relaxed)) * 1e-6; }

 private:
  const std::span<const double> bounds_;
  std::array<std::atomic<uint64_t>, kBucketsMax + 1> counts_{};
  std::atomic<uint64_t> sum_us_{0};
};

inline constexpr double kLongBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                         2.5,   5,      10,    20,   40,    60,   120, 300,  600, 1800};
inline constexpr double kTokenBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05,
                                          0.075,  0.1,   0.15,   0.2,   0.3,  0.5,   0.75, 1,    2.5,  10};

struct ApiMetrics {
  Histogram queue{kLongBounds};         // arrival to the running place, or to the end of a wait in vain
  Histogram first_token{kLongBounds};   // arrival to the first token here, time in the queue included
  Histogram token_gap{kTokenBounds};    // mean time between the output tokens of a sequence
  Histogram request{kLongBounds};       // arrival to the last byte written, admitted requests
  std::atomic<uint64_t> texts_made{0};  // of /metrics
  std::atomic<uint64_t> dropped{0};     // requests that an exception ended while nothing but http could answer them
  std::atomic<uint64_t> gone[http::kGoneKinds]{};      // admitted requests given up, indexed by http::Gone
};

}  // namespace weir::api
