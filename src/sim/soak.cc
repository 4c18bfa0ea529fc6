#include "sim/soak.h"

#include <fmt/format.h>

#include "sim/abort_note.h"
#include "sim/generate.h"
#include "sim/world.h"

namespace weir::sim {
namespace {

class SoakProfile final : public StepProfile {
 public:
  Micros step_us(const StepShape& shape) const override {
    return 1000 + 20 * shape.tokens + 50 * shape.samples + shape.attended_tokens / 4;
  }
  std::string description() const override { return "a made-up machine"; }
  int64_t kv_tokens() const override { return 0; }
};

// Small, so that everything is scarce: places, queue, blocks, tokens of a step, ring slots.
ServerShape draw_shape(Random* random) {
  ServerShape shape;
  shape.running_max = static_cast<int>(random->between(1, 8));
  shape.queued_max = static_cast<int>(random->between(0, 16));
  shape.block_tokens = 4 << random->between(0, 2);
  shape.session_tokens = random->between(16, 96);
  shape.step_tokens_max = static_cast<int>(random->between(shape.running_max, shape.running_max + 32));
  const auto session_blocks =
      static_cast<int32_t>((shape.session_tokens + shape.block_tokens - 1) / shape.block_tokens);
  const double plenty = random->uniform() * random->uniform();  // mostly scarce
  shape.blocks_max =
      std::max(1, session_blocks / 2) + static_cast<int32_t>(plenty * session_blocks * shape.running_max);
  shape.blocks = static_cast<int32_t>(random->between(std::max(1, shape.blocks_max / 2), shape.blocks_max));
  shape.queued_tokens_max = random->between(shape.session_tokens, 8 * shape.session_tokens);
  shape.prefix = random->chance(0.8);
  shape.guaranteed = random->chance(0.15);
  shape.overcommit_quantile = 0.05 + 0.95 * random->uniform();
  shape.ring_events = 2 << random->between(0, 4);
  shape.queue_timeout_us = random->chance(0.3) ? 0 : random->between(50'000, 5'000'000);
  shape.request_timeout_us = random->chance(0.8) ? 0 : random->between(50'000, 5'000'000);
  shape.ageing_us = random->between(100'000, 2'000'000);
  shape.codel_target_us = random->chance(0.3) ? 0 : random->between(20'000, 500'000);
  shape.tpot_slo_us = random->chance(0.7) ? 0 : random->between(500, 20'000);
  shape.tokenise_us = random->chance(0.5) ? 0 : random->between(1, 3000);
  shape.io_us = random->between(0, 300);
  shape.slow_reader_us = random->between(1000, 20'000);
  shape.write_timeout_us = random->between(20'000, 500'000);
  if (random->chance(0.1)) shape.host_bytes_max = static_cast<uint64_t>(random->between(400, 4000));
  if (random->chance(0.1)) shape.host_bytes_per_request = static_cast<uint64_t>(random->between(200, 1000));
  shape.tenants.clear();
  for (int64_t i = 0, count = random->between(1, 4); i < count; ++i) {
    shape.tenants.push_back({fmt::format("tenant{}", i), static_cast<double>(random->between(1, 4))});
  }
  return shape;
}

// Drawn apart, so that every other number of a seed is what it was before there were these.
void draw_later_features(uint64_t seed, ServerShape* shape) {
  Random stretch(mix(seed, 22));
  shape->prefill_stretch = stretch.chance(0.5) ? 0 : static_cast<int>(stretch.between(1, 4));
  Random random(mix(seed, 21));
  if (random.chance(0.5)) return;
  shape->speculative_tokens = static_cast<int>(random.between(1, 8));
  shape->text_period = static_cast<int32_t>(random.between(1, 12));
}

Load draw_load(const ServerShape& shape, int64_t requests, uint64_t seed, Random* random) {
  GenerateOptions options{.requests = requests, .tokens_max = shape.session_tokens + 4, .seed = seed};
  // From idle to several times what it can carry.
  options.arrivals.rate = std::exp(random->uniform() * 5) * 5;
  options.arrivals.variation = 0.3 + 3 * random->uniform();
  options.arrivals.burst = random->chance(0.3) ? random->between(2, 20) : 1;
  options.prompt = {.mean = static_cast<double>(random->between(1, shape.session_tokens / 2)),
                    .variation = random->uniform()};
  options.output = {.mean = static_cast<double>(random->between(1, shape.session_tokens / 2)),
                    .variation = random->uniform()};
  options.shared_tokens = static_cast<int32_t>(random->between(0, shape.session_tokens / 2));
  options.shared_share = random->uniform();
  Load load = generate(options);
  Mix mixture;
  for (size_t i = 0; i < shape.tenants.size(); ++i) mixture.tenant_shares.push_back(0.1 + random->uniform());
  for (size_t i = 0; i < shape.classes.size(); ++i) mixture.class_shares.push_back(0.1 + random->uniform());
  if (random->chance(0.2)) mixture.deadline_us = random->between(10'000, 3'000'000);
  mixture.deadline_share = random->uniform();
  apply_mix(mixture, seed, &load);
  const double choices_share = random->chance(0.5) ? 0 : 0.3;
  for (SimRequest& request : load.requests) {
    if (random->chance(choices_share)) request.choices = static_cast<int32_t>(random->between(2, 4));
    const int64_t kind = random->between(0, 3);  // how its end is known: by eos alone, exactly, too early, too late
    if (kind == 1) request.max_tokens = request.output_tokens;
    if (kind == 2) request.max_tokens = static_cast<int32_t>(random->between(1, request.output_tokens));
    if (kind == 3) request.max_tokens = request.output_tokens + static_cast<int32_t>(random->between(0, 20));
  }
  return load;
}

}  // namespace

const StepProfile& soak_profile() {
  static const SoakProfile profile;
  return profile;
}

SoakWorld draw_world(uint64_t seed, int64_t requests, bool faults) {
  Random random(mix(seed, 20));
  SoakWorld world;
  world.options.seed = seed;
  world.options.check_kv = true;
  world.options.keep_records = false;
  world.options.shape = draw_shape(&random);
  draw_later_features(seed, &world.options.shape);
  world.load = draw_load(world.options.shape, requests, seed, &random);
  if (!faults) return world;
  const Micros last = world.load.last_arrival_us();
  if (random.chance(0.8)) add_client_faults(0.5 * random.uniform(), seed, &world.load);
  if (random.chance(0.3)) add_deadline_storms(static_cast<int>(random.between(1, 4)), 200'000, seed, &world.load);
  if (random.chance(0.7)) {
    const int64_t count = random.between(1, 5 + requests / 20);
    world.options.faults = draw_faults(count, last + 100'000, world.options.shape, random.chance(0.1), seed);
  }
  return world;
}

std::string replay_command(uint64_t seed, int64_t requests, bool faults) {
  return fmt::format("weir simulate --seeds 1 --seed {} --requests {}{}", seed, requests,
                     faults ? "" : " --faults off");
}

SoakResult run_soak(const SoakOptions& options, const std::function<void(const SoakResult&)>& progress) {
  SoakResult result;
  for (int64_t i = 0; i < options.seeds; ++i) {
    const uint64_t seed = options.first_seed + static_cast<uint64_t>(i);
    const SoakWorld drawn = draw_world(seed, options.requests, options.faults);
    const AbortNote where(replay_command(seed, options.requests, options.faults));
    const Outcome outcome = World({drawn.options, {}}, &soak_profile(), &drawn.load).run();
    ++result.seeds;
    result.requests += outcome.offered;
    result.sequences += outcome.submitted;
    result.steps += outcome.steps;
    result.faults += outcome.faults;
    result.preemptions += outcome.preemptions;
    result.drafted_tokens += outcome.drafted_tokens;
    result.accepted_tokens += outcome.accepted_tokens;
    result.simulated_us += outcome.simulated_us;
    result.real_seconds += outcome.real_seconds;
    for (size_t r = 0; r < outcome.finishes.size(); ++r) result.finishes[r] += outcome.finishes[r];
    for (const uint64_t count : outcome.refusals) result.refusals += count;
    if (outcome.violation) {
      result.violation = outcome.violation;
      result.failed_seed = seed;
      return result;
    }
    if (progress) progress(result);
  }
  return result;
}

}  // namespace weir::sim
