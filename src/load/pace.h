// Pace: the arrivals of an open loop that are one worker's. Thread: its worker's.
//
// Every worker walks the same schedule and takes each arrival whose index is its own, so that the schedule depends
// on the seed and not on the number of workers.
#pragma once

#include <optional>

#include "load/run_options.h"
#include "load/trace.h"

namespace weir::load {

struct Arrival {
  uint64_t index = 0;
  Micros due_us = 0;  // since the start of the run
};

class Pace {
 public:
  // trace: may be null. REQUIRES: a trace or rate > 0; 0 <= worker < options.threads.
  Pace(const RunOptions& options, uint64_t seed, const Trace* trace, int worker);

  std::optional<Arrival> next();  // nothing when the requests, the duration or the trace are over

 private:
  std::optional<Micros> next_due();

  const RunOptions& options_;
  const Trace* const trace_;
  const uint64_t worker_;
  ArrivalSchedule schedule_;
  uint64_t index_ = 0;
};

}  // namespace weir::load
