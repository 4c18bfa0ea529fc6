// The fixed lines of the memory plan: everything but the KV cache, each with the formula that gave it.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/plan/plan.h"
#include "server/blueprint.h"

namespace weir {

// b.model, b.running_max and b.settings are not looked at: `options` and `settings` say for which sizes.
std::vector<PlanLine> plan_lines(const Blueprint& b, const ModelOptions& options, const Settings& settings);
// The line "requests": --host-request-bytes, or what waiting and running sequences, bodies and unsent bytes take at most.
uint64_t request_bytes(const Blueprint& b, const ModelOptions& options, const Settings& settings);
uint64_t kv_block_bytes(const Blueprint& b, const ModelOptions& options);

}  // namespace weir
