#include "schedule/acceptance.h"

#include <algorithm>

namespace weir {

int Acceptance::length(int32_t output_tokens, double price, int longest) {
  if (longest < 1) return 0;
  if (paused_until_ >= 0) {
    if (output_tokens < paused_until_) return 0;
    paused_until_ = -1;
    if (rate() < kPriorRate) forget();
  }
  int count = 0;
  for (double worth = rate(); count < longest && worth >= price; worth *= rate()) ++count;
  // Where nothing was tried since, the price is what is in the way, and it may fall with the next step.
  if (count == 0 && paid_ > 0) switch_off(output_tokens);
  return count;
}

void Acceptance::note(int drafted, int accepted, double price) {
  const int trials = accepted + (accepted < drafted);
  for (int i = 0; i < trials; ++i) {
    constexpr float kKeep = 1 - 1 / kWindow;
    hits_ = hits_ * kKeep + (i < accepted ? 1.0f : 0.0f);
    trials_ = trials_ * kKeep + 1;
  }
  paid_ += static_cast<float>(price) * static_cast<float>(drafted);
  won_ += static_cast<float>(accepted);
}

bool Acceptance::take_switched_off() {
  const bool was = switched_off_;
  switched_off_ = false;
  return was;
}

void Acceptance::forget() {
  hits_ = kPriorRate * kPriorTrials;
  trials_ = kPriorTrials;
}

void Acceptance::switch_off(int32_t output_tokens) {
  pause_ = won_ >= paid_ ? kPauseMin : std::clamp(2 * pause_, kPauseMin, kPauseMax);
  paused_until_ = output_tokens + pause_;
  paid_ = won_ = 0;
  switched_off_ = true;
}

}  // namespace weir
