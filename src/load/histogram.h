// Histogram: durations in bounded memory, with a bounded relative error.
//
// Log-linear buckets, the idea of HdrHistogram (Gil Tene): values below 1024 us are exact; above, each power of two
// has 512 buckets, so that a quantile is at most 1/512 (0.2 %) above the true one, never below it. Count, sum and
// the greatest are exact. 132 KiB each, for 1 us to 12 days. Owner: one thread; merge() when the others have ended.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace weir::load {

struct Summary {  // all in microseconds; zeros when count is 0
  uint64_t count = 0;
  double mean = 0;
  Micros p50 = 0, p90 = 0, p95 = 0, p99 = 0, max = 0;
};

class Histogram {
 public:
  static constexpr int kSubBits = 9;  // 512 buckets in each power of two
  static constexpr double kErrorMax = 1.0 / (1 << kSubBits);

  Histogram();

  void record(Micros value);  // negatives count as 0, more than 2^40 as 2^40
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  // fraction: [0, 1]. RETURNS: a value that at least `fraction` of all do not exceed; 0 when there are none.
  Micros quantile(double fraction) const;
  Summary summary() const;

  struct Point {
    Micros value;     // upper end of a bucket
    double fraction;  // of all values that do not exceed it
  };
  std::vector<Point> cumulative() const;  // one point per bucket in use

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  double sum_ = 0;
  Micros max_ = 0;
};

}  // namespace weir::load
