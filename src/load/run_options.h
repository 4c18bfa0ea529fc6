// RunOptions: how a load test runs; what it sends is Workload's. A value.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "load/arrivals.h"
#include "load/meter.h"

namespace weir::load {

struct RunOptions {
  int threads = 1;  // event loops, [1, 64]

  // Open loop when `concurrency` is 0: arrivals at `rate`, or those of the workload's trace where there is one.
  double rate = 0;  // requests a second
  ArrivalSpec arrivals;
  double trace_speed = 1;  // 2: twice as fast as recorded
  // Closed loop: so many places, each of which sends its next request when its last one is over.
  int64_t concurrency = 0;
  Micros ramp_us = 0;  // closed loop: the places begin spread over this time

  uint64_t requests = 0;            // in all, warm-up included; 0: no such bound
  Micros duration_us = 0;           // of sending, after the warm-up; 0: no such bound
  Micros warmup_us = 0;             // requests due before it are sent and not measured
  Micros timeout_us = 600'000'000;  // from sending to the end of the answer
  int64_t slow_bytes_per_s = 1024;  // of a slow reader
  bool keep_alive = true;           // send the next request on a connection whose answer is complete
  size_t connections_max = 1000;    // at once, over all workers; see raise_descriptor_limit()
  Targets targets;
};

}  // namespace weir::load
