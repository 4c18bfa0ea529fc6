#include "load/pace.h"

#include <cmath>

namespace weir::load {

Pace::Pace(const RunOptions& options, uint64_t seed, const Trace* trace, int worker)
    : options_(options),
      trace_(trace),
      worker_(static_cast<uint64_t>(worker)),
      schedule_(options.arrivals, trace == nullptr ? options.rate : 1, seed) {}

std::optional<Micros> Pace::next_due() {
  if (options_.requests != 0 && index_ >= options_.requests) return std::nullopt;
  if (trace_ != nullptr && index_ >= trace_->rows.size()) return std::nullopt;
  const Micros due_us = trace_ == nullptr
                            ? schedule_.next_us()
                            : std::llround(static_cast<double>(trace_->rows[index_].at_us) / options_.trace_speed);
  if (options_.duration_us != 0 && due_us >= options_.warmup_us + options_.duration_us) return std::nullopt;
  return due_us;
}

std::optional<Arrival> Pace::next() {
  for (;;) {
    const std::optional<Micros> due_us = next_due();
    if (!due_us) return std::nullopt;
    const uint64_t index = index_++;
    if (index % static_cast<uint64_t>(options_.threads) == worker_) return Arrival{index, *due_us};
  }
}

}  // namespace weir::load
