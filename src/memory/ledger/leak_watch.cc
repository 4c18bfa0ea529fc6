#include "memory/ledger/leak_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace weir {

std::optional<int64_t> unaccounted_bytes(const HostFacts& facts, uint64_t plan_resident_bytes, uint64_t ledger_bytes) {
  const auto resident = rss_without_files(facts);
  if (!resident) return {};
  return static_cast<int64_t>(*resident) - static_cast<int64_t>(plan_resident_bytes) - static_cast<int64_t>(ledger_bytes);
}

std::string LeakSuspicion::text() const {
  return fmt::format(
      "suspected leak: memory outside plan and ledger rose steadily by {} within {} s, to {}; please report it with the "
      "output of /metrics and /plan",
      format_bytes(static_cast<uint64_t>(to_bytes - from_bytes)), over_us / 1'000'000,
      format_bytes(static_cast<uint64_t>(std::max<int64_t>(to_bytes, 0))));
}

int64_t LeakWatch::rise_bytes_min() const {
  return std::max(options_.bytes_min,
                  static_cast<int64_t>(options_.plan_share * static_cast<double>(options_.plan_bytes)));
}

std::optional<LeakSuspicion> LeakWatch::observe(Micros now, int64_t bytes) {
  std::optional<LeakSuspicion> suspicion;
  if (window_start_ && now - *window_start_ < options_.window_us) {
    floor_ = std::min(floor_, bytes);
    return suspicion;
  }
  if (window_start_) suspicion = close_window();
  window_start_ = now;
  floor_ = bytes;
  return suspicion;
}

std::optional<LeakSuspicion> LeakWatch::close_window() {
  const bool rose = last_floor_ && floor_ - *last_floor_ >= options_.noise_bytes;
  if (!rose) {
    rises_ = 0;
    told_ = false;
  } else if (rises_++ == 0) {
    first_floor_ = *last_floor_;
  }
  last_floor_ = floor_;
  if (!rose || told_ || rises_ < options_.windows || floor_ - first_floor_ <= rise_bytes_min()) return {};
  told_ = true;
  return LeakSuspicion{first_floor_, floor_, rises_ * options_.window_us};
}

}  // namespace weir
