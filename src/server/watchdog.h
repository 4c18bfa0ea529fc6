// Watchdog: sees a step loop that does not move, says what it was doing, gets it going again, and tells health the truth.
//
// A step that takes longer than the timeout is dumped in one log line and abandoned; the engine then finds the culprit by
// itself (engine/step_runner.h). Where nothing moves after another timeout, the executor does not listen: liveness is red
// until it moves. A loop that stands between two steps while work waits is dumped and turns red in the same way; there is
// nothing to abandon. Time is what the watchdog itself was awake for, at most two periods per look: a process that was
// stopped, a machine that slept and a clock that jumped are no stalls.
// Owner: App. Threads: one of its own; loop_moves() and stalls() are any thread's. Limits: kPartsShown sequences in a dump.
// It never touches engine or scheduler state: it reads atomics and leaves a word.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/status.h"
#include "engine/step_board.h"
#include "message/gateway.h"

namespace weir {

struct WatchdogOptions {
  Micros timeout_us = 120'000'000;  // > 0
  Micros period_us() const;         // between two looks
};

// Everything outlives the watchdog's thread.
struct WatchdogSights {
  const Clock* clock = nullptr;
  const LoadGauges* load = nullptr;
  const StepBoard* board = nullptr;
  std::function<void(uint64_t step)> abandon;
  std::function<std::map<SlotIndex, std::string>()> request_ids;  // asked once per stall; may wait a little
};

// One line: the step, its sequences, the queue, the pool. ids: of the sequences' requests where known.
std::string stall_text(const StepView& step, const LoadGauges& load, const std::map<SlotIndex, std::string>& ids);

class Watchdog {
 public:
  static constexpr size_t kPartsShown = 64;

  Watchdog(WatchdogOptions options, WatchdogSights sights);
  ~Watchdog();  // stops

  Status start();  // ERRORS: those of start_thread()
  void stop();  // may be called more than once
  void look();  // one turn on the caller's thread. REQUIRES: not running; start() calls it by itself

  bool loop_moves() const { return !red_.load(std::memory_order_relaxed); }  // liveness
  uint64_t stalls() const { return stalls_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool has_moved();
  void report();
  void turn_red();
  void turn_green();

  const WatchdogOptions options_;
  const WatchdogSights sights_;
  uint64_t step_ = 0;        // under way at the last look; 0: none
  Micros heartbeat_us_ = 0;  // at the last look
  Micros last_look_us_ = 0;  // 0: none yet
  Micros still_us_ = 0;      // since something moved
  bool reported_ = false;
  std::atomic<bool> red_{false};
  std::atomic<uint64_t> stalls_{0};

  std::mutex mutex_;  // of what follows
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;  // the owner's
};

}  // namespace weir
