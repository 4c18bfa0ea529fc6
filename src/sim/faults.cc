#include "sim/faults.h"

#include <algorithm>

namespace weir::sim {

const char* fault_name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kSqueeze:
      return "squeeze";
    case FaultKind::kResizePool:
      return "resize_pool";
    case FaultKind::kHalveWork:
      return "halve_work";
    case FaultKind::kLimitRunning:
      return "limit_running";
    case FaultKind::kDropCaches:
      return "drop_caches";
    case FaultKind::kCancelNewest:
      return "cancel_newest";
    case FaultKind::kRefuseNew:
      return "refuse_new";
    case FaultKind::kStall:
      return "stall";
    case FaultKind::kFailStep:
      return "fail_step";
    case FaultKind::kFailRow:
      return "fail_row";
    case FaultKind::kClockForward:
      return "clock_forward";
    case FaultKind::kClockBack:
      return "clock_back";
    case FaultKind::kShutdown:
      return "shutdown";
    case FaultKind::kCount:
      break;
  }
  return "unknown";
}

void add_client_faults(double share, uint64_t seed, Load* load) {
  Random random(mix(seed, 11));
  for (SimRequest& request : load->requests) {
    if (!random.chance(share)) continue;
    switch (random.between(0, 7)) {
      case 0:
        request.leave = Leave::kWhileTokenising;
        break;
      case 1:
        request.leave = Leave::kAtSubmit;
        break;
      case 2:
      case 3:
        request.leave = Leave::kAfterTime;
        request.leave_after = static_cast<int64_t>(random.exponential(200'000));
        break;
      case 4:
        request.leave = Leave::kAfterTokens;
        request.leave_after = random.between(1, request.output_tokens);
        break;
      case 5:
        request.leave = Leave::kAtFinish;
        break;
      case 6:
        request.reader = Reader::kSlow;
        break;
      default:
        request.reader = Reader::kStops;
        break;
    }
  }
}

void add_deadline_storms(int storms, Micros deadline_us, uint64_t seed, Load* load) {
  Random random(mix(seed, 12));
  const auto count = static_cast<int64_t>(load->requests.size());
  for (int storm = 0; storm < storms && count > 0; ++storm) {
    const int64_t begin = random.between(0, count - 1), end = std::min(count, begin + 1 + count / 20);
    for (int64_t i = begin; i < end; ++i) {
      load->requests[static_cast<size_t>(i)].deadline_us =
          1 + static_cast<Micros>(random.exponential(static_cast<double>(deadline_us)));
    }
  }
}

std::vector<ServerFault> draw_faults(int64_t count, Micros until_us, const ServerShape& shape, bool with_shutdown,
                                     uint64_t seed) {
  Random random(mix(seed, 13));
  std::vector<ServerFault> faults;
  const auto last = static_cast<int64_t>(FaultKind::kShutdown) - 1;
  const Micros span = std::max<Micros>(1000, until_us / 20);
  for (int64_t i = 0; i < count; ++i) {
    ServerFault fault{.at_us = random.between(0, until_us),
                      .kind = static_cast<FaultKind>(random.between(0, last))};
    switch (fault.kind) {
      case FaultKind::kResizePool:
        fault.amount = random.between(std::max(1, shape.blocks_max / 4), shape.blocks_max);
        break;
      case FaultKind::kLimitRunning:
        fault.amount = random.between(1, shape.running_max);
        break;
      case FaultKind::kClockForward:
        fault.amount = static_cast<int64_t>(random.exponential(5e6));
        break;
      case FaultKind::kClockBack:
        fault.amount = random.between(1, 20'000);
        break;
      default:
        fault.amount = 1 + static_cast<int64_t>(random.exponential(static_cast<double>(span)));
        break;
    }
    faults.push_back(fault);
  }
  if (with_shutdown) {
    faults.push_back({.at_us = random.between(0, until_us),
                      .kind = FaultKind::kShutdown,
                      .amount = 1 + static_cast<int64_t>(random.exponential(static_cast<double>(span)))});
  }
  std::stable_sort(faults.begin(), faults.end(),
                   [](const ServerFault& a, const ServerFault& b) { return a.at_us < b.at_us; });
  return faults;
}

}  // namespace weir::sim
