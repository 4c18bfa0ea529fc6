// Faults: what goes wrong, drawn from the seed before the run begins, so that it replays.
#pragma once

#include <vector>

#include "sim/load.h"
#include "sim/server_shape.h"

namespace weir::sim {

enum class FaultKind : uint8_t {
  kSqueeze,       // memory is short: the pool shrinks to what lives; for `amount` us
  kResizePool,    // the operator gives the pool `amount` blocks
  kHalveWork,     // half the places and tokens; for `amount` us
  kLimitRunning,  // the operator sets `amount` places
  kDropCaches,
  kCancelNewest,
  kRefuseNew,     // the door is shut for `amount` us
  kStall,         // the next step takes `amount` us more
  kFailStep,      // the executor fails as a whole
  kFailRow,       // one sequence's logits are not numbers
  kClockForward,  // the server's clock jumps by `amount` us: a machine that slept
  kClockBack,     // and goes back by `amount` us, which a monotonic clock does not; nothing may break all the same
  kShutdown,      // drain; what runs ends with kShutdown after `amount` us
  kCount
};
const char* fault_name(FaultKind kind);

struct ServerFault {
  Micros at_us = 0;
  FaultKind kind = FaultKind::kStall;
  int64_t amount = 0;
};

// Makes `share` of the clients leave at some stage or read slowly. MODIFIES: load.
void add_client_faults(double share, uint64_t seed, Load* load);
// Windows in which every request has a deadline that can hardly be met. MODIFIES: load.
void add_deadline_storms(int storms, Micros deadline_us, uint64_t seed, Load* load);
// So many in [0, until_us], in order. with_shutdown: kShutdown may be among them, once.
std::vector<ServerFault> draw_faults(int64_t count, Micros until_us, const ServerShape& shape, bool with_shutdown,
                                     uint64_t seed);

}  // namespace weir::sim
