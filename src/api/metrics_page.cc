#include "api/metrics_page.h"

#include <time.h>

#include <algorithm>

namespace weir::api {

Micros thread_cpu_us() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<Micros>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1'000;
}

// While another thread makes a text the last one is good enough; before there is any, each caller makes its own.
std::shared_ptr<const std::string> MetricsPage::last_or_begin(Micros now_us) {
  const std::lock_guard lock(mutex_);
  if (last_ != nullptr && (making_ || now_us < stale_at_us_)) return last_;
  making_ = true;
  return nullptr;
}

void MetricsPage::end(std::shared_ptr<const std::string> made, Micros stale_at_us) {
  const std::lock_guard lock(mutex_);
  making_ = false;
  if (made == nullptr) return;
  bytes_ = made->size();
  last_.swap(made);
  stale_at_us_ = stale_at_us;
}

std::string MetricsPage::text(Micros now_us) {
  if (const auto last = last_or_begin(now_us)) return *last;
  try {
    const Micros begin_us = cpu_us_();
    constexpr size_t kGrowthBytes = 4096;
    auto made = std::make_shared<const std::string>(make_(bytes_ + kGrowthBytes));
    const Micros fresh_us = std::clamp<Micros>(kCostShare * (cpu_us_() - begin_us), 0, kStaleMaxUs);
    end(made, now_us + fresh_us);
    return *made;
  } catch (...) {
    end(nullptr, 0);
    throw;
  }
}

}  // namespace weir::api
