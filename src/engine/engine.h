// Engine: the step loop. Commands in, one step planned, computed, committed, notices out; again.
//
// Owner: server/. It owns the engine thread, which owns all scheduling and block state: no locks inside. After
// construction the loop never allocates. It sleeps on the Gateway when nothing can be done: an idle server uses no CPU.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "engine/executor.h"
#include "engine/live_pool.h"
#include "engine/step_runner.h"
#include "memory/blocks/block_pool.h"
#include "message/gateway.h"
#include "schedule/scheduler.h"

namespace weir {

class Engine {
 public:
  // pool, prefix (may be null), gateway, executor and clock outlive it.
  Engine(SchedulerOptions options, BlockPool* pool, PrefixCache* prefix, Gateway* gateway, Executor* executor,
         const Clock* clock, std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  ~Engine();
  // What histories, step buffers and the scheduler take from an arena, for the plan.
  static uint64_t bytes(const SchedulerOptions& options, const BlockPoolOptions& pool);

  Status start();  // starts the thread. ERRORS: those of start_thread()
  // Ends what has not ended with kShutdown, publishes the notices and joins. A step under way is abandoned: its sequences
  // end anyway. Idempotent.
  void stop();

  // False when the loop has not turned for stuck_after_us: /health/live. Any thread.
  bool alive(Micros stuck_after_us) const;

  // Any thread: the step under way, and how to end it (see StepRunner). What was abandoned is computed again, one
  // sequence at a time; one that has to be abandoned alone ends with kStuck.
  const StepRunner& steps() const { return runner_; }
  void abandon_step(uint64_t number) { runner_.abandon(number); }

  // One turn of the loop, for tests and for the overhead benchmark: never sleeps. RETURNS whether a step ran.
  // REQUIRES: start() was not called.
  bool turn();
  const Scheduler& scheduler() const { return scheduler_; }

 private:
  void loop();
  void take_commands(Micros now);
  void obey_commands(Micros now);
  void apply_controls(Micros now);
  void run_step();
  void end_stuck(Micros now);
  Micros sleep_us() const;

  Gateway* const gateway_;
  Executor* const executor_;
  const Clock* const clock_;
  std::pmr::vector<int32_t> histories_;
  Scheduler scheduler_;
  LivePool live_pool_;
  StepRunner runner_;
  Step step_;
  std::pmr::vector<StepResult> results_;
  std::pmr::vector<TokenEvent> draft_events_;  // [drafts of a step] lent to the results
  std::pmr::vector<Command> commands_;
  uint32_t cancels_seen_ = 0;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace weir
