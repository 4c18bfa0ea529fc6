#include "engine/step_runner.h"

#include <algorithm>

#include "base/alloc_guard.h"
#include "base/counting_resource.h"
#include "base/log.h"

namespace weir {

StepRunner::StepRunner(Executor* executor, Gateway* gateway, const Clock* clock, int step_tokens_max, int sequences_max,
                       std::pmr::memory_resource* memory)
    : executor_(executor),
      gateway_(gateway),
      clock_(clock),
      board_(sequences_max, memory),
      alone_(memory),
      stuck_(static_cast<size_t>(sequences_max), 0, memory) {
  alone_.reserve(step_tokens_max, 1);
  executor_->set_stop_word(&stop_);
}

StepRunner::~StepRunner() { executor_->set_stop_word(nullptr); }

uint64_t StepRunner::bytes(int step_tokens_max, int sequences_max) {
  return StepBoard::bytes(sequences_max) + Step::bytes(step_tokens_max, 1) +
         arena_bytes(static_cast<uint64_t>(sequences_max));
}

// The copies are made here and not by run(): a source may be written in the same step by whoever has got it since, so
// they must not be made a second time.
StepRunner::Outcome StepRunner::run(Step* step, std::span<StepResult> results) {
  executor_->copy_blocks(step->copies);
  step->copies.clear();
  const Status status = run_once(*step, results);
  if (was_abandoned(status)) return isolate(*step, results);
  if (status.ok()) return Outcome::kDone;
  fail(status, results);
  return Outcome::kFailed;
}

Status StepRunner::run_once(const Step& step, std::span<StepResult> results) {
  const Micros now = clock_->now_us();
  stop_.begin(++number_);
  board_.begin(number_, now, step, gateway_);
  gateway_->load().heartbeat_us.store(now, std::memory_order_relaxed);
  Status status = executor_->run(step, results);
  board_.end();
  if (was_abandoned(status)) abandoned_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

bool StepRunner::was_abandoned(const Status& status) const {
  return status.code() == Code::kCancelled && stop_.said();
}

StepRunner::Outcome StepRunner::isolate(const Step& step, std::span<StepResult> results) {
  if (stop_.said_of_everything()) return Outcome::kDropped;
  std::fill(stuck_.begin(), stuck_.end(), char{0});
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const std::span<StepResult> result = results.subspan(i, 1);
    take_alone(step, step.sequences[i]);
    const Status status = run_once(alone_, result);
    if (was_abandoned(status)) {
      if (stop_.said_of_everything()) return Outcome::kDropped;
      stuck_[i] = 1;
      culprits_.fetch_add(1, std::memory_order_relaxed);
    } else if (!status.ok()) {
      fail(status, result);
    }
  }
  return Outcome::kIsolated;
}

void StepRunner::take_alone(const Step& step, const StepSequence& part) {
  alone_.clear();
  const auto begin = static_cast<ptrdiff_t>(part.token_begin), end = begin + part.token_count;
  alone_.tokens.assign(step.tokens.begin() + begin, step.tokens.begin() + end);
  alone_.positions.assign(step.positions.begin() + begin, step.positions.begin() + end);
  alone_.rows.assign(static_cast<size_t>(part.token_count), 0);
  alone_.sequences.push_back(part);
  alone_.sequences.back().token_begin = 0;
}

void StepRunner::fail(const Status& status, std::span<StepResult> results) {
  const AllowAllocations the_message_of_a_failed_step;
  if (const auto pass = fail_log_.pass(clock_->now_us())) {
    log_error("engine", pass->after("a step failed and its sequences end with an error: " + status.message()));
  }
  for (StepResult& result : results) result.ok = false;
}

}  // namespace weir
