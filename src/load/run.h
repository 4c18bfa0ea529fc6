// run_load: one load test from its first arrival to its last answer.
//
// Thread: main; it starts options.threads workers, looks in every 50 ms, and joins them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "load/dial.h"
#include "load/meter.h"
#include "load/run_options.h"
#include "load/workload.h"

namespace weir::load {

struct LiveTotals {
  Micros at_us = 0;  // since the start
  uint64_t sent = 0, in_flight = 0, completed = 0, refused = 0, failed = 0, aborted = 0, tokens = 0;
  uint64_t first_tokens = 0, first_token_us = 0;  // how many, and the sum of their times
};

struct RunResult {
  Meter meter;
  Micros wall_us = 0;      // from the start to the end of the last worker
  double cpu_seconds = 0;  // of all workers
  bool stopped = false;    // before its end
};

// look: called about every 50 ms. RETURNS of it: false ends the test early; what was measured is kept.
// ERRORS: kFailedPrecondition when an event loop cannot be made.
Result<RunResult> run_load(const RunOptions& options, const Workload& workload, const SocketAddress& target,
                           const std::function<bool(const LiveTotals&)>& look);

// Raises the soft limit of descriptors as far as needed, at most to the hard one. needed: connections.
// RETURNS: how many connections there may be, at least `needed`. ERRORS: kFailedPrecondition, with what to do.
Result<size_t> raise_descriptor_limit(size_t needed);

}  // namespace weir::load
