#include "load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir::load {
namespace {

constexpr int kSubBits = Histogram::kSubBits;
constexpr Micros kValueMax = Micros{1} << 40;  // 12.7 days

// Values below 2^(kSubBits + 1) have a bucket each; the next powers of two share 2^kSubBits each.
size_t bucket_of(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (kSubBits + 1));
  return (static_cast<size_t>(shift) << kSubBits) + static_cast<size_t>(value >> shift);
}

Micros upper_end(size_t bucket) {
  if (bucket < (size_t{2} << kSubBits)) return static_cast<Micros>(bucket);
  const size_t shift = (bucket >> kSubBits) - 1;
  const uint64_t top = bucket - (shift << kSubBits);
  return static_cast<Micros>(((top + 1) << shift) - 1);
}

}  // namespace

Histogram::Histogram() : buckets_(bucket_of(static_cast<uint64_t>(kValueMax)) + 1) {}

void Histogram::record(Micros value) {
  value = std::clamp<Micros>(value, 0, kValueMax);
  ++buckets_[bucket_of(static_cast<uint64_t>(value))];
  ++count_;
  sum_ += static_cast<double>(value);
  max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

Micros Histogram::quantile(double fraction) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(count_));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > 0 && static_cast<double>(seen) >= wanted) return std::min(upper_end(i), max_);
  }
  return max_;
}

Summary Histogram::summary() const {
  if (count_ == 0) return {};
  return {count_, sum_ / static_cast<double>(count_), quantile(0.5), quantile(0.9), quantile(0.95), quantile(0.99),
          max_};
}

std::vector<Histogram::Point> Histogram::cumulative() const {
  std::vector<Point> points;
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    seen += buckets_[i];
    points.push_back({std::min(upper_end(i), max_), static_cast<double>(seen) / static_cast<double>(count_)});
  }
  return points;
}

}  // namespace weir::load
