// Run: one simulation as those outside this room ask for it: options in, report out.
//
// Nothing here shows the rooms inside. One thread; pure but for the time it takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/faults.h"
#include "sim/load.h"
#include "sim/profile.h"
#include "sim/server_shape.h"

namespace weir::sim {

struct RunOptions {
  ServerShape shape;
  std::vector<ServerFault> faults;
  uint64_t seed = 1;
  bool check_kv = false;     // keep a KV memory of hashes
  int check_every = 1;       // steps between two walks over everything; what is cheap is checked after each
  Micros sample_us = 0;      // between two samples for the plot; 0: none
  bool keep_records = true;  // of each sequence, for percentiles and the plot
};

struct ReportContext {
  ServerShape shape;
  std::string profile, load;  // one line each: what was simulated
  uint64_t seed = 1;
  Micros ttft_slo_us = 0, tpot_slo_us = 0;  // what counts as good; 0: everything answered
};

// A broken invariant.
struct Violation {
  std::string what;
  uint64_t step = 0;
  Micros at_us = 0;

  std::string text() const;  // "step 12 at 0.123 s: ..."
};

struct RunReport {
  std::string violation;  // empty: every invariant held
  std::string table, json;
  std::string svg;  // empty unless sample_us was given
};
RunReport run_and_report(const RunOptions& options, const StepProfile& profile, const Load& load,
                         const ReportContext& context);

}  // namespace weir::sim
