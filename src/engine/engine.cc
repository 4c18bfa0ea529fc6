#include "engine/engine.h"

#include <algorithm>
#include <string>

#include "base/alloc_guard.h"
#include "base/counting_resource.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/thread_time.h"

namespace weir {
namespace {

// The heartbeat moves at least this often even when nothing happens.
constexpr Micros kIdleTurnUs = 500'000;
// Sequences run and the plan had nothing of theirs, but not because of slow readers: the plan itself has changed
// which of them run, and the next one may have work.
constexpr Micros kAgainUs = 1'000;

}  // namespace

Engine::Engine(SchedulerOptions options, BlockPool* pool, PrefixCache* prefix, Gateway* gateway, Executor* executor,
               const Clock* clock, std::pmr::memory_resource* memory)
    : gateway_(gateway),
      executor_(executor),
      clock_(clock),
      histories_(static_cast<size_t>(options.places()) * static_cast<size_t>(options.session_tokens), memory),
      scheduler_(options, pool, prefix, gateway, histories_, memory),
      live_pool_(pool, &scheduler_, executor, gateway, memory),
      runner_(executor, gateway, clock, options.step_tokens_max, options.running_max, memory),
      step_(memory),
      results_(memory),
      draft_events_(static_cast<size_t>(options.speculation.step_tokens_max), memory),
      commands_(memory) {
  step_.reserve(options.step_tokens_max, options.running_max);
  results_.resize(static_cast<size_t>(options.running_max));
  commands_.reserve(gateway->command_capacity());
  gateway_->load().heartbeat_us.store(clock_->now_us(), std::memory_order_relaxed);
  scheduler_.publish_load();
}

uint64_t Engine::bytes(const SchedulerOptions& options, const BlockPoolOptions& pool) {
  const auto running = static_cast<uint64_t>(options.running_max);
  const uint64_t events = static_cast<uint64_t>(options.speculation.step_tokens_max) * sizeof(TokenEvent);
  return (events == 0 ? 0 : arena_bytes(events)) +
         arena_bytes(static_cast<uint64_t>(options.places()) * static_cast<uint64_t>(options.session_tokens) * sizeof(int32_t)) +
         arena_bytes(running * sizeof(StepResult)) +
         arena_bytes(Gateway::command_capacity(options.slots) * sizeof(Command)) +
         Step::bytes(options.step_tokens_max, options.running_max) + LivePool::bytes(pool) + Scheduler::bytes(options, pool) +
         StepRunner::bytes(options.step_tokens_max, options.running_max);
}

Engine::~Engine() { stop(); }

Status Engine::start() {
  WEIR_CHECK(!thread_.joinable());
  WEIR_ASSIGN_OR_RETURN(thread_, start_thread("engine", [this] { loop(); }));
  return ok_status();
}

void Engine::stop() {
  stopping_.store(true, std::memory_order_release);
  runner_.abandon_everything();
  gateway_->poke();
  if (thread_.joinable()) thread_.join();
}

bool Engine::alive(Micros stuck_after_us) const {
  return clock_->now_us() - gateway_->load().heartbeat_us.load(std::memory_order_relaxed) < stuck_after_us;
}

void Engine::loop() {
  executor_->bind_thread();
  seal_this_thread("engine");
  while (!stopping_.load(std::memory_order_acquire)) {
    if (!turn()) gateway_->wait_for_command(sleep_us());
  }
  const Micros now = clock_->now_us();
  commands_.clear();
  gateway_->close_inbox(&commands_);  // a request that was admitted and comes later is refused by submit()
  obey_commands(now);
  scheduler_.finish_all(FinishReason::kShutdown, now);
  scheduler_.publish_load();
  gateway_->wake_io();
}

bool Engine::turn() {
  const Micros now = clock_->now_us();
  gateway_->load().heartbeat_us.store(now, std::memory_order_relaxed);
  take_commands(now);
  apply_controls(now);
  const bool pool_moves = live_pool_.apply(now);
  scheduler_.expire(now);
  scheduler_.plan_step(now, &step_);
  scheduler_.publish_load();
  if (!step_.empty()) run_step();
  gateway_->wake_io();
  return !step_.empty() || pool_moves;
}

void Engine::apply_controls(Micros now) {
  const Controls& controls = gateway_->controls();
  const int divisor = controls.halve_work.load(std::memory_order_relaxed) ? 2 : 1;
  const int32_t places = controls.running_limit.load(std::memory_order_relaxed);
  const int32_t adaptive = controls.adaptive_limit.load(std::memory_order_relaxed);
  const int32_t tokens = controls.step_tokens_limit.load(std::memory_order_relaxed);
  const SchedulerOptions& built = scheduler_.options();
  const int32_t ordered = places > 0 ? places : built.running_max;
  scheduler_.set_running_limit(std::max(1, (adaptive > 0 ? std::min(adaptive, ordered) : ordered) / divisor));
  scheduler_.set_prefill_tokens_limit(controls.prefill_tokens_limit.load(std::memory_order_relaxed));
  scheduler_.set_hold_background(controls.hold_background.load(std::memory_order_relaxed));
  scheduler_.set_background_tokens_max(controls.background_tokens_max.load(std::memory_order_relaxed));
  scheduler_.set_step_tokens_limit((tokens > 0 ? tokens : built.step_tokens_max) / divisor);
  const uint32_t cancels = controls.cancel_newest.load(std::memory_order_relaxed);
  if (cancels != cancels_seen_) scheduler_.cancel_newest(now);
  cancels_seen_ = cancels;
}

void Engine::take_commands(Micros now) {
  commands_.clear();
  gateway_->drain_commands(&commands_);
  obey_commands(now);
}

void Engine::obey_commands(Micros now) {
  for (const Command& command : commands_) scheduler_.on_command(command, now);
}

void Engine::run_step() {
  const Micros begin = clock_->now_us();
  const auto results = std::span<StepResult>(results_).first(step_.sequences.size());
  lend_room(step_, results, draft_events_);
  const bool here = executor_->computes_here();
  const Micros cpu_begin = here ? thread_cpu_us() : 0;
  const StepRunner::Outcome outcome = runner_.run(&step_, results);
  const Micros cpu_us = here ? thread_cpu_us() - cpu_begin : 0;
  if (outcome == StepRunner::Outcome::kDropped) return;  // the loop ends, and everybody in it
  const Micros end = clock_->now_us();
  if (outcome == StepRunner::Outcome::kIsolated) end_stuck(end);
  scheduler_.commit(step_, std::span<StepResult>(results_).first(step_.sequences.size()), end);
  if (outcome == StepRunner::Outcome::kDone) {
    scheduler_.note_step(step_, {.wall_us = end - begin, .work_us = here ? cpu_us : end - begin});
  }
  scheduler_.publish_load();
  LoadGauges& load = gateway_->load();
  load.steps.fetch_add(1, std::memory_order_relaxed);
  load.step_us_total.fetch_add(end - begin, std::memory_order_relaxed);
}

// Takes the culprits out of the step, so that what is left can be committed as it is.
void Engine::end_stuck(Micros now) {
  size_t kept = 0;
  for (size_t i = 0; i < step_.sequences.size(); ++i) {
    const StepSequence part = step_.sequences[i];
    if (runner_.is_stuck(i)) {
      const AllowAllocations the_message_of_a_stuck_sequence;
      log_error("engine", "slot " + std::to_string(part.slot) + " computed " + std::to_string(part.token_count) +
                              " tokens from position " + std::to_string(part.position_begin) +
                              " alone and did not come to an end; it is stopped and the others go on");
      scheduler_.end_sequence(part.slot, FinishReason::kStuck, now);
      continue;
    }
    step_.sequences[kept] = part;
    results_[kept++] = results_[i];
  }
  step_.sequences.resize(kept);
}

Micros Engine::sleep_us() const {
  if (scheduler_.running_count() > 0 && !scheduler_.only_waits_for_readers()) return kAgainUs;
  const Micros deadline = scheduler_.next_deadline();
  if (deadline == 0) return kIdleTurnUs;
  return std::clamp<Micros>(deadline - clock_->now_us(), 1, kIdleTurnUs);
}

}  // namespace weir
