#include "sim/generate.h"

#include <algorithm>

namespace weir::sim {
namespace {

int32_t draw_length(const Length& length, int64_t most, Random* random) {
  const double drawn = length.variation > 0 ? random->lognormal(length.mean, length.variation) : length.mean;
  return static_cast<int32_t>(std::clamp(drawn + 0.5, 1.0, static_cast<double>(std::max<int64_t>(most, 1))));
}

int32_t draw_share(const std::vector<double>& shares, Random* random) {
  double total = 0;
  for (const double share : shares) total += share;
  double at = random->uniform() * total;
  for (size_t i = 0; i < shares.size(); ++i) {
    at -= shares[i];
    if (at < 0) return static_cast<int32_t>(i);
  }
  return 0;
}

}  // namespace

Load generate(const GenerateOptions& options) {
  Random random(mix(options.seed, 1));
  Load load;
  load.requests.reserve(static_cast<size_t>(options.requests));
  const double gap_us = 1e6 / options.arrivals.rate * static_cast<double>(options.arrivals.burst);
  double now = 0;
  for (int64_t i = 0; i < options.requests; ++i) {
    if (i % options.arrivals.burst == 0 && i > 0) now += random.gamma(gap_us, options.arrivals.variation);
    SimRequest request;
    request.arrival_us = static_cast<Micros>(now);
    request.prompt_tokens = draw_length(options.prompt, options.tokens_max - 2, &random);
    request.output_tokens = draw_length(options.output, options.tokens_max - request.prompt_tokens - 1, &random);
    if (options.shared_tokens > 0 && random.chance(options.shared_share)) {
      request.shared_seed = mix(options.seed, 2);
      request.shared_tokens = std::min(options.shared_tokens, request.prompt_tokens);
    }
    load.requests.push_back(request);
  }
  return load;
}

void apply_mix(const Mix& mixture, uint64_t seed, Load* load) {
  Random random(mix(seed, 3));
  for (SimRequest& request : load->requests) {
    if (!mixture.tenant_shares.empty()) request.tenant = draw_share(mixture.tenant_shares, &random);
    if (!mixture.class_shares.empty()) request.class_index = draw_share(mixture.class_shares, &random);
    if (mixture.deadline_us > 0 && random.chance(mixture.deadline_share)) request.deadline_us = mixture.deadline_us;
  }
}

}  // namespace weir::sim
