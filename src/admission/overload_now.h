// OverloadNow: what the adaptive limit and the brown-out ladder are at, for /admission and /metrics.
//
// A value, copied out of its owner (server/overload_control.h); any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "admission/adaptive_limit.h"
#include "admission/brown_out.h"

namespace weir {

struct OverloadNow {
  static constexpr size_t kChangesShown = 16;

  std::string adaptive = "off";  // off, on, shadow: computed and reported, not acted upon
  int limit = 0, limit_min = 0, limit_max = 0;  // places
  double signal = 0;             // of the last control period; 1 is on target
  std::array<uint64_t, static_cast<size_t>(kLimitReasons)> changes{};  // by LimitReason
  std::vector<LimitChange> last_changes;  // newest first, at most kChangesShown

  bool brown_out = false;        // --brown-out on
  Rung rung = Rung::kCalm;
  double level = 0;
  std::array<uint64_t, kRungs> entered{};  // upwards
};

}  // namespace weir
