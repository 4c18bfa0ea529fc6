#include <chrono>
#include <thread>

#include "engine/executor.h"

namespace weir {

Status NullExecutor::run(const Step& step, std::span<StepResult> results) {
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const StepSequence& sequence = step.sequences[i];
    results[i].ok = true;
    if (!sequence.samples) continue;
    const int64_t position = sequence.position_begin + sequence.token_count;
    results[i].token = {};
    results[i].token.token = static_cast<int32_t>(position * 7919 % vocab_);
  }
  if (delay_us_ > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us_));
  return ok_status();
}

}  // namespace weir
