// Meter: what a worker saw, in memory that does not grow with the number of requests.
//
// Thread: its worker's; merged by main after the workers have ended. Percentiles come from Histogram (at most 0.2 %
// high). Refusals are told apart by status, reason and code, 64 kinds of them; what is more counts as "other",
// because a hostile server could make up names without end.
//
// What counts for what: latencies are those of completed requests that read at full speed, from the INTENDED
// arrival. TTFT includes aborted requests that saw a token. Tenants' tokens include answers that broke off. Warm-up
// requests count nowhere but in the series.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "load/answer.h"
#include "load/histogram.h"
#include "load/names.h"
#include "load/series.h"

namespace weir::load {

struct Targets {  // service level objectives; 0: none
  Micros ttft_us = 0, tpot_us = 0;
};

// One request, over.
struct Outcome {
  size_t tenant = 0;
  bool measured = true;  // not of the warm-up
  bool slow = false;     // read slowly on purpose
  bool stream = true;
  Micros due_us = 0;    // the intended arrival
  Micros begun_us = 0;  // when we really began: connecting, or writing on a kept connection
  Micros end_us = 0;
  int64_t planned_prompt_tokens = 0;  // used when the server told none
};

struct RefusalKind {
  int status = 0;
  std::string reason, code;
  auto operator<=>(const RefusalKind&) const = default;
};

struct TenantCount {
  uint64_t sent = 0, completed = 0, refused = 0, failed = 0, aborted = 0;
  int64_t prompt_tokens = 0, output_tokens = 0;
};

class Meter {
 public:
  static constexpr size_t kRefusalKindsMax = 64;

  Meter(size_t tenants, const Targets& targets);

  void record(const Outcome& outcome, const Answer& answer);
  void merge(const Meter& other);

  Histogram ttft, tpot, gap, whole, refusal, lateness, turn;  // turn: one pass of our own event loop
  uint64_t sent = 0, completed = 0, refused = 0, failed = 0, aborted = 0, interrupted = 0;  // measured ones
  uint64_t slow = 0, warmup = 0;
  uint64_t met = 0;               // completed at full speed, and within the targets
  uint64_t with_retry_after = 0;  // refusals
  int64_t prompt_tokens = 0, output_tokens = 0;
  uint64_t bytes_in = 0, connects = 0, reconnects = 0;
  std::array<uint64_t, static_cast<size_t>(Failure::kCount)> failures{};
  std::map<RefusalKind, uint64_t> refusals;
  std::vector<TenantCount> tenants;
  Micros last_end_us = 0;       // of a measured request that read at full speed
  Micros last_slow_end_us = 0;  // of one that read slowly
  Series series;

 private:
  void record_completed(const Outcome& outcome, const Answer& answer);
  void record_refused(const Outcome& outcome, const Answer& answer);
  void count_refusal(const RefusalKind& kind, uint64_t count);

  Targets targets_;
};

// Time per output token after the first. REQUIRES: answer.output_tokens > 1.
Micros time_per_token(const Answer& answer);

// Jain, Chiu, Hawe 1984: (sum x)^2 / (n sum x^2), in (0, 1]; 1 is perfectly fair. RETURNS: 1 for nothing or all
// zeros.
double jain_index(const std::vector<double>& shares);

}  // namespace weir::load
