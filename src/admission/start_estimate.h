// StartEstimate: what the door knows of when a request would start and have its first token, and whether that is in
// time.
//
// The engine forecasts per class every few steps and leaves it in LoadGauges; between two forecasts a burst may come in,
// so whoever was admitted since then counts with the measured time between two ends. Pure functions and one small
// state (RetrySpread) under the front door's mutex; any thread. Where nothing is known yet, nobody is refused for it.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/status.h"
#include "message/gateway.h"

namespace weir {

// When a request asks and until when it must be answered, by the server's clock.
struct Timing {
  int class_index = 0;
  Micros now_us = 0;
  Micros deadline_us = 0;  // 0: none
};

struct StartEstimate {
  Micros start_p50_us = 0, start_p90_us = 0;  // from now on; 0: at once, or not known
  Micros prefill_us = 0;                      // of its own prompt
  Micros first_token_p50_us() const { return start_p50_us + prefill_us; }
  Micros first_token_p90_us() const { return start_p90_us + prefill_us; }
};

// unseen: sequences admitted that the engine has not looked at. class_index is cut to what there can be.
StartEstimate estimate_start(const LoadGauges& load, int class_index, int64_t prompt_tokens, int unseen);

// A deadline is refused where it would more likely be missed than met (p50): its client would rather try. The SLO is the
// operator's promise about most requests, so p90 counts. ERRORS: kUnavailable with deadline_unmeetable or over_ttft_slo,
// and both numbers.
Status check_in_time(const StartEstimate& estimate, const Timing& timing, Micros ttft_slo_us);

// Spreads those who are sent away at the same moment over the time in which places become free, so that they do not
// come back as one wave: the k-th of them is told k intervals more, at most twice the time of the first.
class RetrySpread {
 public:
  // base_us: until the first of them could start. now: any clock that goes on; one that goes back stands still.
  Micros next(Micros base_us, Micros interval_us, Micros now);

 private:
  double sent_away_ = 0;  // and not yet due again
  Micros now_ = 0;
};

}  // namespace weir
