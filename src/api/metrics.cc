#include "api/metrics.h"

#include <algorithm>

#include "base/check.h"

namespace weir::api {

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
  WEIR_CHECK(bounds.size() <= kBucketsMax && std::is_sorted(bounds.begin(), bounds.end()));
}

void Histogram::observe_us(Micros us) {
  const auto clamped = static_cast<uint64_t>(std::max<Micros>(us, 0));
  const double seconds = static_cast<double>(clamped) * 1e-6;
  const size_t i = static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), seconds) - bounds_.begin());
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(clamped, std::memory_order_relaxed);
}

}  // namespace weir::api
