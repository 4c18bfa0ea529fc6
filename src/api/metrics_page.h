// MetricsPage: the text of /metrics, made no more often than it may cost. Scrapes need no key and may
// come in a loop: the cost of making texts is bounded, and every scrape in between gets a copy of the last text.
//
// Owner: Service. Any io thread; a lock for as long as it takes to look at a pointer, and never while a text is
// made. Limits: a text is made when the last one is older than kCostShare times the CPU time that making it took,
// and at the latest after kStaleMaxUs; it holds two texts at most (the last, and the one being made), which the
// plan's line "metrics" has room for.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"

namespace weir::api {

Micros thread_cpu_us();  // CPU time of the calling thread

class MetricsPage {
 public:
  static constexpr Micros kCostShare = 20;  // one part in so many of an io thread goes into texts
  static constexpr Micros kStaleMaxUs = 100'000;
  using Make = std::function<std::string(size_t expected_bytes)>;

  explicit MetricsPage(Make make, Micros (*cpu_us)() = thread_cpu_us) : make_(std::move(make)), cpu_us_(cpu_us) {}

  std::string text(Micros now_us);

 private:
  std::shared_ptr<const std::string> last_or_begin(Micros now_us);  // RETURNS: null where the caller is to make one
  void end(std::shared_ptr<const std::string> made, Micros stale_at_us);

  const Make make_;
  Micros (*const cpu_us_)();
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<const std::string> last_;
  size_t bytes_ = size_t{24} << 10;  // of the last text
  Micros stale_at_us_ = 0;
  bool making_ = false;
};

}  // namespace weir::api
