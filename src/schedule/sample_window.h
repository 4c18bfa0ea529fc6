// SampleWindow: the last so many samples of a number, and their quantiles.
//
// Fixed size, no allocation ever; a quantile costs a copy and a partial sort of at most kMax floats (about 2 us for
// 256), so it is asked for once per forecast and not once per sequence. Owner: whoever holds it, on one thread.
// Samples that are not finite are not taken.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace weir {

class SampleWindow {
 public:
  static constexpr int kMax = 256;

  void add(double sample) {
    if (!std::isfinite(sample)) return;
    samples_[static_cast<size_t>(next_)] = static_cast<float>(sample);
    next_ = (next_ + 1) % kMax;
    count_ = std::min(count_ + 1, kMax);
  }
  int count() const { return count_; }
  void clear() { count_ = next_ = 0; }

  // q: [0, 1]. RETURNS: the smallest sample that at least q of all do not exceed; `unknown` without samples.
  double quantile(double q, double unknown) const {
    if (count_ == 0) return unknown;
    std::array<float, kMax> sorted;
    std::copy_n(samples_.begin(), count_, sorted.begin());
    const int rank = std::clamp(static_cast<int>(std::ceil(q * count_)) - 1, 0, count_ - 1);
    std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.begin() + count_);
    return static_cast<double>(sorted[static_cast<size_t>(rank)]);
  }
  // RETURNS: the part of the samples that do not exceed `bound`; 1 without samples.
  double share_up_to(double bound) const {
    if (count_ == 0) return 1;
    return static_cast<double>(
               std::count_if(samples_.begin(), samples_.begin() + count_,
                             [bound](float sample) { return static_cast<double>(sample) <= bound; })) /
           count_;
  }

 private:
  std::array<float, kMax> samples_{};
  int count_ = 0, next_ = 0;
};

}  // namespace weir
