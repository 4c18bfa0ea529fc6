// LeakWatch: is memory that nobody accounts for growing steadily? Fed with (time, bytes), it says so once per episode.
//
// Pure: no clock, no files, no thread of its own; one thread feeds it. The lowest value of each window counts, because
// what goes up and down with the load is no leak, and a leak raises the floor. Suspected is: the floor of
// `windows` successive windows rose each time, by more than `bytes_min` and `plan_share` of the plan together. An
// episode ends with the first window whose floor does not rise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "memory/monitor/host_facts.h"

namespace weir {

// Resident memory, without pages of mapped files, less what the plan has resident and what the ledger counts. Negative
// where promised memory was not touched yet. RETURNS: nothing when the facts do not tell.
std::optional<int64_t> unaccounted_bytes(const HostFacts& facts, uint64_t plan_resident_bytes, uint64_t ledger_bytes);

struct LeakWatchOptions {
  Micros window_us = 60'000'000;
  int windows = 6;                  // rises in a row
  int64_t bytes_min = 16 << 20;     // of the whole rise
  uint64_t plan_bytes = 0;
  double plan_share = 0.01;         // the rise must be more than this share of plan_bytes too
  int64_t noise_bytes = 64 << 10;   // a floor that rose by less did not rise
};

struct LeakSuspicion {
  int64_t from_bytes = 0, to_bytes = 0;  // floors before the first rise and of the last window
  Micros over_us = 0;
  std::string text() const;              // one line with the figures
};

class LeakWatch {
 public:
  explicit LeakWatch(const LeakWatchOptions& options) : options_(options) {}

  // Times must not go back. bytes may be negative. RETURNS: a suspicion, once per episode.
  std::optional<LeakSuspicion> observe(Micros now, int64_t bytes);

 private:
  std::optional<LeakSuspicion> close_window();
  int64_t rise_bytes_min() const;

  const LeakWatchOptions options_;
  std::optional<Micros> window_start_;
  int64_t floor_ = 0;                 // of the window that is open
  std::optional<int64_t> last_floor_; // of the one before
  int64_t first_floor_ = 0;           // before the first rise of this episode
  int rises_ = 0;
  bool told_ = false;
};

}  // namespace weir
