#include "server/cpu_watch.h"

#include <fmt/format.h>

#include "base/log.h"

namespace weir {
namespace {

constexpr double kBusySeconds = 0.5;  // of a window: who hardly wants to run is not short of CPUs

double grown(std::optional<double> begin, std::optional<double> end) {
  return begin && end && *end > *begin ? *end - *begin : 0;
}

}  // namespace

CpuNow CpuWatch::look() const {
  CpuNow now;
  const std::vector<int> ids = options_.thread_ids();
  now.threads = static_cast<int>(ids.size());
  if (const auto times = read_cpu_times(ids, options_.root)) {
    now.run_seconds = static_cast<double>(times->run_ns) * 1e-9;
    now.wait_seconds = static_cast<double>(times->wait_ns) * 1e-9;
  }
  now.throttled_periods = read_throttled_periods(options_.root);
  return now;
}

std::string CpuWatch::judge(const CpuNow& begin, const CpuNow& end, double seconds) const {
  const uint64_t stopped =
      begin.throttled_periods && end.throttled_periods && *end.throttled_periods > *begin.throttled_periods
          ? *end.throttled_periods - *begin.throttled_periods
          : 0;
  if (stopped > 0) {
    return fmt::format(
        "the cgroup's CPU quota ran out in {} periods of the last {:.0f} s, and every thread stood still: lower "
        "--threads (now {}) or raise the quota (cpu.max)",
        stopped, seconds, end.threads);
  }
  const double wait = grown(begin.wait_seconds, end.wait_seconds), run = grown(begin.run_seconds, end.run_seconds);
  if (run + wait < kBusySeconds || wait < options_.wait_share * (run + wait)) return {};
  return fmt::format(
      "the {} compute threads waited for a CPU in {:.0f} % of the last {:.0f} s that they could have run: lower "
      "--threads, choose CPUs of their own (--cpu-set), or move what else runs there",
      end.threads, 100 * wait / (run + wait), seconds);
}

void CpuWatch::observe(Micros now_us) {
  if (looked_ && now_us - looked_us_ < options_.look_us) return;
  const CpuNow seen = look();
  {
    const std::lock_guard lock(mutex_);
    now_ = seen;
  }
  const bool first = !looked_;
  looked_ = true;
  looked_us_ = now_us;
  if (!first && now_us - window_begin_us_ < options_.window_us) return;
  if (!first && (!warned_ || now_us - warned_us_ >= options_.quiet_us)) {
    const std::string warning = judge(at_begin_, seen, static_cast<double>(now_us - window_begin_us_) * 1e-6);
    if (!warning.empty()) {
      log_warning("cpu", warning);
      warned_ = true;
      warned_us_ = now_us;
    }
  }
  window_begin_us_ = now_us;
  at_begin_ = seen;
}

CpuNow CpuWatch::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

}  // namespace weir
