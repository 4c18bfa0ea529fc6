// scheduler_setup: the one file of this room that knows which options the Scheduler and the FrontDoor take. A new
// option of theirs is passed on here.
#pragma once

#include <algorithm>

#include "admission/front_door.h"
#include "schedule/scheduler.h"
#include "sim/load.h"
#include "sim/server_shape.h"

namespace weir::sim {

inline SchedulerOptions scheduler_options(const ServerShape& shape) {
  SchedulerOptions options;
  options.slots = shape.running_max + shape.queued_max;
  options.running_max = shape.running_max;
  options.step_tokens_max = shape.step_tokens_max;
  options.session_tokens = shape.session_tokens;
  options.eos_ids = {kEosToken};
  options.overcommit_quantile = shape.overcommit_quantile;
  options.ageing_us = shape.ageing_us;
  options.codel_target_us = shape.codel_target_us;
  options.tpot_slo_us = shape.tpot_slo_us;
  options.prefill_stretch = shape.prefill_stretch;
  options.speculation = {.tokens_max = shape.speculative_tokens,
                         .step_tokens_max = shape.speculative_tokens * std::min(shape.running_max, kDraftingSequences)};
  options.tenants = std::max(1, static_cast<int>(shape.tenants.size()));
  options.classes.clear();
  bool urgent = false, background = false;
  for (const PriorityClass& one : shape.classes) {
    options.classes.push_back(one.kind);
    urgent |= one.kind == ClassKind::kUrgent;
    background |= one.kind == ClassKind::kBackground;
  }
  if (urgent && background) options.parked_max = options.running_max;  // as server/blueprint.cc has it
  return options;
}

// Rings, histories and block tables that the Scheduler wants.
inline int places_of(const SchedulerOptions& options) { return options.places(); }

inline BlockPoolOptions pool_options(const ServerShape& shape) {
  return {.blocks = shape.blocks,
          .blocks_max = shape.blocks_max,
          .block_tokens = shape.block_tokens,
          .sequences_max = places_of(scheduler_options(shape)),
          .blocks_per_sequence_max = shape.blocks_per_sequence()};
}

inline FrontDoorOptions door_options(const ServerShape& shape) {
  return {.running_max = shape.running_max,
          .queued_max = shape.queued_max,
          .queued_tokens_max = shape.queued_tokens_max,
          .session_tokens = shape.session_tokens,
          .pool_tokens = shape.pool_tokens(),
          .ttft_slo_us = shape.ttft_slo_us};
}

}  // namespace weir::sim
