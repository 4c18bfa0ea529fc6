// LoadSummary: with --log-level debug, one line a second of what the steps of that second did. Nothing where none
// ran.
//
// Owner: App. Thread: the monitor's. It reads gauges and decides nothing.
#pragma once

#include "base/clock.h"
#include "message/gateway.h"

namespace weir {

class LoadSummary {
 public:
  static constexpr Micros kEveryUs = 1'000'000;

  explicit LoadSummary(const LoadGauges* load) : load_(load) {}  // which outlives it
  void observe(Micros now_us);

 private:
  struct Sums {
    uint64_t steps = 0, prompt_tokens = 0, output_tokens = 0;
    int64_t step_us = 0;
  };
  Sums read() const;

  const LoadGauges* const load_;
  Micros told_us_ = 0;  // 0: not yet
  Sums told_;
};

}  // namespace weir
