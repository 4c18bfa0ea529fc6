// Made-up load: arrivals, lengths and who asks, all from a seed.
//
// Pure functions of their options. The same mix of tenants, classes and deadlines can be laid over a trace.
#pragma once

#include <string>
#include <vector>

#include "sim/load.h"

namespace weir::sim {

struct Length {
  double mean = 256;
  double variation = 0;  // standard deviation over mean of a lognormal; 0: all the same
};

struct Arrivals {
  double rate = 1;       // requests a second, > 0
  double variation = 1;  // of the gamma distributed gaps: 1 is Poisson, more is burstier, (0, 100]
  int64_t burst = 1;     // so many come at once each time; the rate counts requests all the same
};

// Shares are relative to each other within a list. An empty list: everybody is index 0.
struct Mix {
  std::vector<double> tenant_shares, class_shares;
  Micros deadline_us = 0;  // of deadline_share of the requests; 0: none
  double deadline_share = 1;
};

struct GenerateOptions {
  int64_t requests = 1000;
  Arrivals arrivals;
  Length prompt{.mean = 512, .variation = 1}, output{.mean = 128, .variation = 1};
  int64_t tokens_max = 8192;  // of prompt and answer together
  int32_t shared_tokens = 0;  // a prefix that shared_share of the requests begin with
  double shared_share = 0;
  uint64_t seed = 1;
};

Load generate(const GenerateOptions& options);
void apply_mix(const Mix& mix, uint64_t seed, Load* load);

}  // namespace weir::sim
