// StepRunner: runs one step on the executor, and finds the culprit of a step that did not come to an end.
//
// A step that somebody abandoned (abandon(), which the watchdog calls) has committed nothing. Its sequences are then run
// one at a time: the same positions are computed again and give the same bits (promise 8), so who is not to blame does not
// notice. One that has to be abandoned alone too is the culprit and is marked as stuck; all others get their results.
// Owner: the engine. Thread: the engine's, but for those that say any thread. Nothing allocates after construction.
#pragma once

#include <atomic>
#include <memory_resource>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/log_throttle.h"
#include "base/stop_word.h"
#include "engine/executor.h"
#include "engine/step_board.h"

namespace weir {

class StepRunner {
 public:
  // executor, gateway and clock outlive it.
  StepRunner(Executor* executor, Gateway* gateway, const Clock* clock, int step_tokens_max, int sequences_max,
             std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  ~StepRunner();
  static uint64_t bytes(int step_tokens_max, int sequences_max);  // for the plan

  enum class Outcome : uint8_t {
    kDone,      // results are there; run at once
    kFailed,    // it failed as a whole: no result is ok
    kIsolated,  // results are there; the sequences ran one at a time, and is_stuck() says who has none
    kDropped,   // abandon_everything() was called: there are no results
  };
  // Makes the step's copies, once; a failed step is logged.
  // MODIFIES: step->copies, which is empty afterwards.
  Outcome run(Step* step, std::span<StepResult> results);
  bool is_stuck(size_t index) const { return stuck_[index] != 0; }  // after kIsolated

  // Any thread. The step of that number is to end without a result; one that has ended already is not touched.
  void abandon(uint64_t number) { stop_.say(number); }
  void abandon_everything() { stop_.say(StopWord::kEverything); }
  const StepBoard& board() const { return board_; }
  uint64_t abandoned_steps() const { return abandoned_.load(std::memory_order_relaxed); }
  uint64_t culprits() const { return culprits_.load(std::memory_order_relaxed); }

 private:
  Status run_once(const Step& step, std::span<StepResult> results);
  bool was_abandoned(const Status& status) const;
  Outcome isolate(const Step& step, std::span<StepResult> results);
  void take_alone(const Step& step, const StepSequence& part);
  void fail(const Status& status, std::span<StepResult> results);

  Executor* const executor_;
  Gateway* const gateway_;
  const Clock* const clock_;
  StopWord stop_;
  StepBoard board_;
  Step alone_;                   // one sequence of an abandoned step
  std::pmr::vector<char> stuck_; // [sequences_max]
  uint64_t number_ = 0;          // of the last run
  std::atomic<uint64_t> abandoned_{0}, culprits_{0};
  LogThrottle fail_log_{1'000'000};  // a model that fails at every step says so once a second
};

}  // namespace weir
