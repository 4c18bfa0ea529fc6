#include "schedule/speculation.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {

Speculation::Speculation(SpeculationOptions options, int places, int64_t session_tokens,
                         std::pmr::memory_resource* memory)
    : options_(options),
      drafter_(options.enabled() ? places : 0, session_tokens, memory),
      acceptance_(options.enabled() ? static_cast<size_t>(places) : 0, memory) {
  WEIR_CHECK(options.step_tokens_max >= options.tokens_max);
}

uint64_t Speculation::bytes(const SpeculationOptions& options, int places, int64_t session_tokens) {
  if (!options.enabled()) return 0;
  return Drafter::bytes(places, session_tokens) + arena_bytes(static_cast<uint64_t>(places) * sizeof(Acceptance));
}

void Speculation::begin(int place) {
  if (!enabled()) return;
  drafter_.begin(place);
  acceptance_[static_cast<size_t>(place)] = {};
}

void Speculation::begin_step(double price) {
  price_ = price;
  read_left_ = kReadTokensPerStep;
}

int Speculation::propose(int place, std::span<const int32_t> text, int32_t output_tokens, std::span<int32_t> out) {
  Acceptance& acceptance = acceptance_[static_cast<size_t>(place)];
  const int count = acceptance.length(output_tokens, price_, static_cast<int>(out.size()));
  switched_off_ += acceptance.take_switched_off();
  if (count == 0) return 0;
  read_left_ -= drafter_.read(place, text, read_left_);
  return drafter_.draft(place, text, out.first(static_cast<size_t>(count)));
}

void Speculation::note(int place, int drafted, int accepted) {
  if (drafted > 0) acceptance_[static_cast<size_t>(place)].note(drafted, accepted, price_);
}

int Speculation::take_switched_off() { return std::exchange(switched_off_, 0); }

}  // namespace weir
