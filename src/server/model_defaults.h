// What a model's generation_config.json proposes, as the sampling parameters of a request that says nothing. Pure;
// any thread.
#pragma once

#include "checkpoint/model_spec.h"
#include "message/sampling_params.h"

namespace weir {

SamplingParams default_params(const SamplingDefaults& defaults);

}  // namespace weir
