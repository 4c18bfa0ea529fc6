#include "memory/monitor/monitor_thread.h"

#include <fmt/format.h>

#include <chrono>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/units.h"

namespace weir {

Result<GovernorMode> parse_governor_mode(const std::string& word) {
  if (word == "on") return GovernorMode::kOn;
  if (word == "off") return GovernorMode::kOff;
  if (word == "observe") return GovernorMode::kObserve;
  return invalid_argument("'" + word + "' is not a mode of the memory governor; choose on, off or observe");
}

MonitorThread::MonitorThread(MonitorOptions options, const Clock* clock, GovernorActions* actions)
    : options_(std::move(options)),
      clock_(clock),
      actions_(actions),
      reader_({.root = options_.root, .reserve_bytes = options_.reserve_bytes}),
      governor_(options_.governor),
      plan_bytes_(options_.plan_bytes) {
  WEIR_CHECK(options_.poll_us > 0 && clock != nullptr && actions != nullptr);
}

MonitorThread::~MonitorThread() { stop(); }

void MonitorThread::add_observer(Observer observer) {
  WEIR_CHECK_MSG(!thread_.joinable(), "observers are added before the monitor starts");
  observers_.push_back(std::move(observer));
}

Status MonitorThread::start() {
  WEIR_CHECK(!thread_.joinable());
  stopping_ = false;
  WEIR_ASSIGN_OR_RETURN(thread_, start_thread("monitor", [this] { run(); }));
  return ok_status();
}

void MonitorThread::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void MonitorThread::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    turn();
    lock.lock();
    wake_.wait_for(lock, std::chrono::microseconds(options_.poll_us), [this] { return stopping_; });
  }
}

void MonitorThread::turn() {
  const HostFacts facts = read_memory_facts(options_.root);
  const Micros now = clock_->now_us();
  PressureReading reading = reader_.read(facts, plan_bytes_.load(std::memory_order_relaxed));
  warn_if_blind(reading);
  if (options_.mode != GovernorMode::kOff) feed(reading, now);
  {
    std::lock_guard lock(mutex_);
    status_.reading = std::move(reading);
  }
  for (const Observer& observer : observers_) observer(now, facts);
}

void MonitorThread::feed(const PressureReading& reading, Micros now) {
  const GovernorStep step = governor_.feed(reading, now);
  if (options_.mode == GovernorMode::kOn) carry_out(step, actions_);
  if (step.from == step.to) return;
  {
    std::lock_guard lock(mutex_);
    status_.stage = step.to;
    ++status_.entered[static_cast<size_t>(step.to)];
  }
  report(step, reading);
}

void MonitorThread::report(const GovernorStep& step, const PressureReading& reading) const {
  const LogLevel level = step.to > step.from ? LogLevel::kWarning : LogLevel::kInfo;
  if (!log_enabled(level)) return;
  const std::string room = reading.room_bytes ? format_bytes(*reading.room_bytes) : "unknown";
  log_line(level, "memory",
           fmt::format("stage {} -> {}{}: pressure {:.2f}, room {} of a reserve of {}, decided by {}",
                       stage_name(step.from), stage_name(step.to),
                       options_.mode == GovernorMode::kObserve ? " (observed only)" : "", reading.level(), room,
                       format_bytes(options_.reserve_bytes), reading.source));
}

void MonitorThread::warn_if_blind(const PressureReading& reading) {
  if (reading.source != "unknown" || warned_blind_) return;
  warned_blind_ = true;
  log_warning(
      "memory",
      "no file of this machine tells how much memory is left, so the governor cannot act; give --memory-limit "
      "with care, or mount /proc");
}

MonitorStatus MonitorThread::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace weir
