#include "server/watchdog.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/log.h"
#include "base/thread.h"

namespace weir {
namespace {

// An idle loop turns at least twice a second (engine.cc), and so may one whose work waits for memory.
constexpr Micros kIdleUs = 1'000'000;

double seconds(Micros us) { return static_cast<double>(us) * 1e-6; }

template <class T>
T read(const std::atomic<T>& value) {
  return value.load(std::memory_order_relaxed);
}

std::string part_text(const StepPart& part, const std::map<SlotIndex, std::string>& ids) {
  const auto id = ids.find(part.slot);
  const std::string name = id != ids.end() ? id->second : fmt::format("with the answer id {:016x}", part.request);
  if (part.decodes()) {
    return fmt::format("[slot {}, request {}: decode of position {}]", part.slot, name, part.position);
  }
  return fmt::format("[slot {}, request {}: prefill of {} tokens from position {} of {}]", part.slot, name, part.tokens,
                     part.position, part.prompt_tokens);
}

std::string load_text(const LoadGauges& load) {
  return fmt::format("{} sequences hold places, {} wait with {} prompt tokens; of {} KV blocks {} are live, {} free, {} "
                     "evictable",
                     read(load.running), read(load.waiting), read(load.waiting_tokens), read(load.blocks_total),
                     read(load.blocks_live), read(load.blocks_free), read(load.blocks_evictable));
}

}  // namespace

Micros WatchdogOptions::period_us() const { return std::clamp<Micros>(timeout_us / 8, 10'000, 1'000'000); }

std::string stall_text(const StepView& step, const LoadGauges& load, const std::map<SlotIndex, std::string>& ids) {
  std::string out = fmt::format("step {} computes {} sequences:", step.number, step.parts.size());
  for (size_t i = 0; i < step.parts.size() && i < Watchdog::kPartsShown; ++i) out += " " + part_text(step.parts[i], ids);
  if (step.parts.size() > Watchdog::kPartsShown) out += fmt::format(" and {} more", step.parts.size() - Watchdog::kPartsShown);
  return out + "; " + load_text(load);
}

Watchdog::Watchdog(WatchdogOptions options, WatchdogSights sights) : options_(options), sights_(std::move(sights)) {
  WEIR_CHECK(options_.timeout_us > 0 && sights_.clock != nullptr && sights_.load != nullptr && sights_.board != nullptr);
}

Watchdog::~Watchdog() { stop(); }

Status Watchdog::start() {
  WEIR_CHECK(!thread_.joinable());
  WEIR_ASSIGN_OR_RETURN(thread_, start_thread("watchdog", [this] { run(); }));
  return ok_status();
}

void Watchdog::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    look();
    lock.lock();
    wake_.wait_for(lock, std::chrono::microseconds(options_.period_us()), [this] { return stopping_; });
  }
}

void Watchdog::look() {
  const Micros now = sights_.clock->now_us();
  const Micros awake = last_look_us_ == 0 ? 0 : std::clamp<Micros>(now - last_look_us_, 0, 2 * options_.period_us());
  last_look_us_ = now;
  if (has_moved()) {
    still_us_ = 0;
    reported_ = false;
    return turn_green();
  }
  still_us_ += awake;
  const Micros limit = options_.timeout_us + (step_ == 0 ? kIdleUs : 0);
  if (still_us_ >= limit && !reported_) report();
  if (still_us_ >= 2 * limit) turn_red();
}

// Nothing to do is as good as having done it.
bool Watchdog::has_moved() {
  const uint64_t step = sights_.board->begun_us() != 0 ? sights_.board->number() : 0;
  const Micros heartbeat = read(sights_.load->heartbeat_us);
  const bool same = step == step_ && heartbeat == heartbeat_us_;
  step_ = step;
  heartbeat_us_ = heartbeat;
  const bool work = step != 0 || read(sights_.load->waiting) > 0 || read(sights_.load->running) > 0;
  return !same || !work;
}

void Watchdog::report() {
  reported_ = true;
  stalls_.fetch_add(1, std::memory_order_relaxed);
  const std::optional<StepView> view = sights_.board->read();
  const bool in_step = view && view->number == step_;
  const std::string what = in_step ? stall_text(*view, *sights_.load, sights_.request_ids ? sights_.request_ids() : std::map<SlotIndex, std::string>{})
                                   : "it computes no step; " + load_text(*sights_.load);
  if (in_step && sights_.abandon) sights_.abandon(step_);
  log_error("watchdog", fmt::format("the step loop has not moved for {:.1f} s: {}{}", seconds(still_us_), what,
                                    in_step ? "; the step is abandoned and its sequences run one at a time" : ""));
}

void Watchdog::turn_red() {
  if (red_.exchange(true, std::memory_order_relaxed)) return;
  log_error("watchdog", fmt::format("the step loop has not moved for {:.1f} s and does not listen: /health/live is red; take a "
                                    "stack trace and restart the server", seconds(still_us_)));
}

void Watchdog::turn_green() {
  if (!red_.exchange(false, std::memory_order_relaxed)) return;
  log_warning("watchdog", "the step loop moves again: /health/live is green");
}

}  // namespace weir
