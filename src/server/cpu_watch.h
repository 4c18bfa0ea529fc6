// CpuWatch: do the threads that compute get their CPUs? For /metrics, and one line in the log at most once a
// minute.
//
// Owner: App. Threads: now() any; observe() the monitor's, each turn. Reads a few small files of /proc and the
// cgroups, at most once a second. It decides nothing. Time that a thread waits although it could run means that
// something else has its CPU: more threads than CPUs, a neighbour, another server; periods that were throttled mean
// that the quota is less than what the threads ask for. Where neither can be read nothing is said.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/api.h"
#include "base/clock.h"
#include "kernels/backend.h"
#include "memory/monitor/cpu_throttling.h"

namespace weir {

struct CpuWatchOptions {
  std::string root = "/";
  std::function<std::vector<int>()> thread_ids;  // Backend::thread_ids
  Micros look_us = 1'000'000;
  Micros window_us = 10'000'000;  // what a warning speaks of
  Micros quiet_us = 60'000'000;   // between two warnings
  double wait_share = 0.1;        // of the time that the threads ran or could have run; above it is a warning
};

class CpuWatch {
 public:
  explicit CpuWatch(CpuWatchOptions options) : options_(std::move(options)) {}
  CpuWatch(const std::string& root, const Backend* backend)  // backend outlives it
      : options_{.root = root, .thread_ids = [backend] { return backend->thread_ids(); }} {}

  void observe(Micros now_us);
  CpuNow now() const;

  // What is to be said at the end of a window, empty: nothing. Apart from observe() for tests.
  std::string judge(const CpuNow& begin, const CpuNow& end, double seconds) const;

 private:
  CpuNow look() const;

  const CpuWatchOptions options_;
  Micros looked_us_ = 0, window_begin_us_ = 0, warned_us_ = 0;
  bool looked_ = false, warned_ = false;
  CpuNow at_begin_;  // of the window
  mutable std::mutex mutex_;
  CpuNow now_;
};

}  // namespace weir
