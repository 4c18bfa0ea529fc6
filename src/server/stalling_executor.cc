#include "server/stalling_executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace weir {

StallingExecutor::StallingExecutor(Executor* inner, const std::string& setting)
    : inner_(inner),
      prompt_tokens_(std::strtoull(setting.c_str(), nullptr, 10)),
      deaf_(setting.find(':') != std::string::npos) {}

Status StallingExecutor::run(const Step& step, std::span<StepResult> results) {
  const bool stalls = std::any_of(step.sequences.begin(), step.sequences.end(), [this](const StepSequence& part) {
    return part.prompt.size() == prompt_tokens_;
  });
  if (!stalls) return inner_->run(step, results);
  while (deaf_ || !must_stop()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return abandoned();
}

void StallingExecutor::set_stop_word(const StopWord* stop) {
  Executor::set_stop_word(stop);
  inner_->set_stop_word(stop);
}

}  // namespace weir
