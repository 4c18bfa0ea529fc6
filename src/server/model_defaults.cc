#include "server/model_defaults.h"

#include <algorithm>
#include <limits>

namespace weir {
namespace {

void set_float(std::optional<double> number, float* out) {
  if (number) *out = static_cast<float>(*number);
}

}  // namespace

SamplingParams default_params(const SamplingDefaults& defaults) {
  SamplingParams params;
  set_float(defaults.temperature, &params.temperature);
  if (defaults.do_sample && !*defaults.do_sample) params.temperature = 0;
  // 0 keeps the likeliest token alone, which the smallest positive share does too.
  if (defaults.top_p)
    params.top_p = std::max(static_cast<float>(*defaults.top_p), std::numeric_limits<float>::min());
  if (defaults.top_k) params.top_k = static_cast<int32_t>(*defaults.top_k);
  set_float(defaults.min_p, &params.min_p);
  set_float(defaults.repetition_penalty, &params.repetition_penalty);
  set_float(defaults.presence_penalty, &params.presence_penalty);
  set_float(defaults.frequency_penalty, &params.frequency_penalty);
  return params;
}

}  // namespace weir
