// A storm of requests against a real server: a bounded number of connections at once, driven in one poll loop, each
// with the request and the manners of a StormGenerator. It looks at the server at rest twice, after a warm-up and
// at the end, and says which promises were broken. Shared by tests/server and bench/storm. Test thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/server_process.h"
#include "server/storm_request.h"

namespace weir::testing {

struct StormOptions {
  int requests = 20'000;
  int warm_up_requests = 2'000;  // the first of these
  int at_once = 64;              // connections
  uint32_t seed = 1;
  StormLimits limits;
};

// How one request ended, as its client saw it.
enum class StormOutcome {
  kAnswered,      // 200, whole
  kEndedByError,  // 200 and a stream that names an error at its end
  kBad,           // 400, 404, 405, 413, 501 and such: the request's own fault
  kRefused,       // 429
  kUnavailable,   // 503
  kLeft,          // the client left first
  kCutOff,        // a client that read slowly or was still sending lost its connection
  kFault,         // anything else: see StormReport::faults
  kCount,
};
const char* storm_outcome_name(StormOutcome outcome);

// The server at rest.
struct StormRest {
  bool came = false;  // everything was returned: places, blocks, the ledger's bytes
  uint64_t rss_bytes = 0;
  std::map<std::string, double> metrics;
  double metric(const std::string& name) const;        // -1 when absent
  double metric_sum(const std::string& prefix) const;  // over all labels
};

// What is allowed. A short storm cannot tell the allocator's first use from a leak, nor one preemption from a
// habit: its test allows a little more than the shares.
struct StormGoals {
  double drift = 0.01;             // growth of the resident size, of itself
  uint64_t drift_floor_bytes = 0;  // so much is allowed in any case
  double recomputed = 0.02;        // tokens, of those produced
  double recomputed_floor_tokens = 0;
  bool sanitized = false;  // the server's memory and allocations say nothing
};

struct StormReport {
  std::array<int, static_cast<size_t>(StormOutcome::kCount)> outcomes{};
  std::vector<std::string> faults;  // the first few, in words
  StormRest warm, end;
  uint64_t plan_bytes = 0, peak_bytes = 0;

  int count(StormOutcome outcome) const { return outcomes[static_cast<size_t>(outcome)]; }
  double drift() const;       // of the resident size, from the warm-up to the end; 0.01 is 1 %
  double recomputed() const;  // tokens, over tokens produced
  // One sentence for each promise that was broken.
  std::vector<std::string> broken_promises(const StormGoals& goals = {}) const;
};

// REQUIRES: the server is fresh; the counters are read as they stand.
StormReport run_storm(ServerProcess& server, const StormOptions& options);

}  // namespace weir::testing
