// bench_engine: the step's own cost, without a model: 256 running sequences over a NullExecutor, commands, notices
// and rings included. Prints microseconds and heap allocations per step.
//
// Floor: a step touches 256 sequences x (state, table row, ring slot, notice), about 256 x 6 cache lines = 96 KiB,
// which L2 delivers in a few microseconds.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <vector>

#include "base/alloc_guard.h"
#include "engine/engine.h"

namespace weir {
namespace {

struct Measured {
  double plan_commit_us;
  double allocations;
};

Measured measure(int sequences, int steps) {
  SteadyClock clock;
  NullExecutor executor(32000);
  const int session = 4096, block = 64;
  const SchedulerOptions options{.slots = sequences + 128, .running_max = sequences, .step_tokens_max = 512,
                                 .session_tokens = session, .eos_ids = {2}};
  Gateway gateway(options.slots, sequences, 1, Gateway::kRingEvents);
  PrefixCache prefix({.blocks_max = sequences * session / block, .block_tokens = block});
  BlockPool pool({.blocks = sequences * session / block, .block_tokens = block, .sequences_max = sequences,
                  .blocks_per_sequence_max = session / block}, &prefix);
  Engine engine(options, &pool, &prefix, &gateway, &executor, &clock);
  // Texts that differ from the first token on: nothing is shared.
  std::vector<RequestSpec> specs(static_cast<size_t>(options.slots));
  for (SlotIndex slot = 0; slot < options.slots; ++slot) {
    RequestSpec& spec = specs[static_cast<size_t>(slot)];
    spec.prompt.assign(100, slot);
    spec.params.max_tokens = session - 200;
    spec.params.ignore_eos = true;
    gateway.channel(slot).spec = &spec;
    gateway.submit(slot);
  }
  const auto drain = [&] {
    Notice notice;
    TokenEvent event;
    while (gateway.next_notice(0, &notice)) {
      while (gateway.channel(notice.slot).ring->try_pop(&event)) {
      }
    }
  };
  while (gateway.load().prompt_tokens < static_cast<uint64_t>(sequences) * 100) {
    engine.turn();
    drain();
  }
  std::vector<double> times;
  const uint64_t before = sealed_allocations("step");
  for (int i = 0; i < steps; ++i) {
    const Micros begin = clock.now_us();
    seal_this_thread("step");
    engine.turn();
    unseal_this_thread();
    times.push_back(static_cast<double>(clock.now_us() - begin));
    drain();
  }
  std::nth_element(times.begin(), times.begin() + steps / 2, times.end());
  return {times[static_cast<size_t>(steps / 2)], static_cast<double>(sealed_allocations("step") - before) / steps};
}

}  // namespace
}  // namespace weir

int main() {
  std::printf("%-10s %18s %22s\n", "sequences", "us/step (median)", "heap allocations/step");
  for (const int sequences : {1, 16, 64, 256}) {
    const auto m = weir::measure(sequences, 2000);
    std::printf("%-10d %18.1f %22.2f\n", sequences, m.plan_commit_us, m.allocations);
  }
}
