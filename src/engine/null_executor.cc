#include <algorithm>
#include <chrono>
#include <thread>

#include "engine/executor.h"

namespace weir {
namespace {

constexpr int64_t kSliceUs = 5'000;  // of its delay, between two looks at the stop word

}  // namespace

Status NullExecutor::run(const Step& step, std::span<StepResult> results) {
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const StepSequence& sequence = step.sequences[i];
    results[i].ok = true;
    if (!sequence.samples) continue;
    const int64_t position = sequence.position_begin + sequence.known_count();
    const auto sample = [this, position](int32_t accepted, TokenEvent* out) {
      *out = {};
      out->token = static_cast<int32_t>((position + accepted) * 7919 % vocab_);
      return true;
    };
    sample_with_drafts(sequence, sample, &results[i]);
  }
  for (int64_t left_us = delay_us_; left_us > 0; left_us -= kSliceUs) {
    if (must_stop()) return abandoned();
    std::this_thread::sleep_for(std::chrono::microseconds(std::min(left_us, kSliceUs)));
  }
  return ok_status();
}

}  // namespace weir
