// MonitorThread: reads the machine every --memory-poll, feeds the governor and whoever else watches memory.
//
// Owner: the composition root, which starts it when all that it acts upon exists and stops it before any of that
// goes. It has one thread of its own; status() and set_planned_bytes() may be called from any. Between two turns it
// sleeps and a stop wakes it at once. Limits: a turn reads about ten small files. It never touches the engine or
// the door: GovernorActions does. Each change of stage is one line in the log, with figures.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "memory/monitor/governor.h"
#include "memory/monitor/host_facts.h"
#include "memory/monitor/pressure.h"

namespace weir {

enum class GovernorMode {
  kOff,      // the pressure is measured, the stage stays calm
  kObserve,  // stages are entered, counted and logged, and nothing is done
  kOn,
};
// ERRORS: kInvalidArgument; the words are on, off, observe.
Result<GovernorMode> parse_governor_mode(const std::string& word);

struct MonitorOptions {
  std::string root = "/";
  Micros poll_us = 250'000;    // > 0
  uint64_t reserve_bytes = 1;  // > 0: the room that is to stay free
  uint64_t plan_bytes = 0;     // what the plan promises in all; 0: not known
  GovernorMode mode = GovernorMode::kOn;
  GovernorOptions governor;
};

// What the last turn found, for metrics.
struct MonitorStatus {
  PressureReading reading;
  Stage stage = Stage::kCalm;
  std::array<uint64_t, kStages> entered{};  // how often each stage was entered, upwards or downwards
};

class MonitorThread {
 public:
  using Observer = std::function<void(Micros now, const HostFacts& facts)>;

  // clock and actions outlive it.
  MonitorThread(MonitorOptions options, const Clock* clock, GovernorActions* actions);
  ~MonitorThread();  // stops

  // Called each turn on the monitor thread, with what read_memory_facts() tells (no cgroups, no CPUs).
  // REQUIRES: not started.
  void add_observer(Observer observer);
  Status start();  // ERRORS: those of start_thread()
  void stop();  // returns when the thread has ended; may be called more than once

  void turn();  // one turn on the caller's thread. REQUIRES: not running; start() calls it by itself

  void set_planned_bytes(uint64_t bytes) { plan_bytes_.store(bytes, std::memory_order_relaxed); }  // after a resize
  MonitorStatus status() const;

 private:
  void run();
  void feed(const PressureReading& reading, Micros now);
  void report(const GovernorStep& step, const PressureReading& reading) const;
  void warn_if_blind(const PressureReading& reading);

  const MonitorOptions options_;
  const Clock* const clock_;
  GovernorActions* const actions_;
  PressureReader reader_;
  Governor governor_;
  std::vector<Observer> observers_;
  std::atomic<uint64_t> plan_bytes_;
  bool warned_blind_ = false;

  mutable std::mutex mutex_;  // of what follows
  MonitorStatus status_;
  bool stopping_ = false;
  std::condition_variable wake_;
  std::thread thread_;  // the owner's
};

}  // namespace weir
