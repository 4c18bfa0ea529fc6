// PrefillGuard: how much prefill a step with decodes may compute, on a machine that is not always ours.
//
// Two bounds, and the smaller one holds. The step-time model says what fits into the time that the step is allowed,
// if the processor does nothing else. Experience says which chunk kept its promise: a step that took more than
// kPatience times what it was promised halves the chunk, each one that was in time lets it grow a little. So
// neighbours that make steps uneven, which the model cannot foretell, cost prefill its speed and not the streams
// their pace, and while the model knows nothing or is not believed, the chunk is one that was in time.
//
// Until the first late step, and again after kForgiveAfter that were not, the chunk doubles with each step that
// took no longer than promised: a prompt that comes to a quiet server has the model's chunk after a few steps. It
// doubles only where the model may be believed or is as new as the guard, and there up to kNewTokens. (Slow start
// and additive increase, RFC 5681, but for the increase, which is a share: log(2) / log(kCreep), about 46 steps,
// make good for one late one. So about one step in fifty is late where the machine is to blame.)
//
// Prefill never starves: what a kFloorShare of the allowed time computes is always granted, kFirstTokens of it at
// most (a cost that is fitted wrong must not open the guard) and kPrefillFloorTokens at least. Owner: the
// scheduler, on the engine thread. No clock, no allocation.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "schedule/step_time.h"

namespace weir {

class PrefillGuard {
 public:
  static constexpr double kPatience = 2;  // times the promised time, from which on a step is late
  static constexpr double kFloorShare = 1.0 / 16;
  static constexpr double kCreep = 1.015;                      // of the chunk, with each step that was in time
  static constexpr int kForgiveAfter = 64;                     // steps in time after a late one
  static constexpr double kFirstTokens = 16, kNewTokens = 64;  // at first, and at most while the model is new

  // Tokens of prefill beside these decodes in a step that may take `allowed` us, each seeing `context` tokens.
  // RETURNS: at least StepTimeModel::kPrefillFloorTokens; kNoLimit when allowed is 0 (off).
  int64_t limit(const StepTimeModel& model, const StepShape& decodes, Micros allowed, int64_t context) const;

  // The same for the step that is being planned, and what note() compares.
  int64_t grant(const StepTimeModel& model, const StepShape& decodes, Micros allowed, int64_t context);
  // The step under way has no decodes, or nothing is promised to them.
  void grant_all() { promised_us_ = 0; }

  // How long that step took. RETURNS: whether it was late and the chunk is cut.
  bool note(const StepTimeModel& model, const StepShape& shape, Micros wall_us);

 private:
  static int64_t floor(const StepTimeModel& model, Micros allowed, int64_t context);

  double kept_tokens_ = kFirstTokens;              // the chunk that experience allows
  int64_t granted_tokens_ = 0, floor_tokens_ = 0;  // of the step under way
  Micros promised_us_ = 0;                         // of the step under way; 0: nothing
  int in_time_ = kForgiveAfter;                    // steps since the last late one, kForgiveAfter + 1 at most
};

}  // namespace weir
