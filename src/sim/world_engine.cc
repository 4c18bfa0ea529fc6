// World: the engine's half, in the order of engine/engine.cc and engine/live_pool.cc, with a model that takes no
// time of ours.
#include <algorithm>

#include "sim/abort_note.h"
#include "sim/world.h"

namespace weir::sim {
namespace {

constexpr Micros kIdleTurnUs = 500'000, kStalledTurnUs = 1'000;  // as the engine's

}  // namespace

void World::turn() {
  woken_ = false;
  ++outcome_.turns;
  const Micros now = server_now();
  AbortNote::at_step(outcome_.steps, now_);
  gateway_.load().heartbeat_us.store(now, std::memory_order_relaxed);
  commands_.clear();
  gateway_.drain_commands(&commands_);
  for (const Command& command : commands_) scheduler_.on_command(command, now);
  apply_controls(now);
  apply_pool();
  scheduler_.expire(now);
  if (shutdown_due_) scheduler_.finish_all(FinishReason::kShutdown, now);
  contended_ = waiting_of_tenant_.size() > 1 && std::all_of(waiting_of_tenant_.begin(), waiting_of_tenant_.end(),
                                                            [](int32_t waiting) { return waiting > 0; });
  scheduler_.plan_step(now, &step_);
  scheduler_.publish_load();
  if (options_.sample_us > 0) sample();
  read_notices();
  check_counts();
  if (step_.empty()) return sleep();
  const Micros takes = profile_->step_us(shape_of(step_)) + std::exchange(stall_us_, 0);
  busy_ = true;
  step_begun_us_ = now_;
  note(EventKind::kWake, static_cast<int64_t>(step_.tokens.size()), static_cast<int64_t>(step_.sequences.size()));
  at(now_ + takes, EventKind::kStepEnd, 0);
}

// Not more often than asked for, but always where the server falls idle.
void World::sample() {
  const Micros next = outcome_.samples.empty() ? 0 : outcome_.samples.back().at_us + options_.sample_us;
  const bool idle = scheduler_.running_count() + scheduler_.waiting_count() == 0;
  if (now_ < next && !(idle && outcome_.samples.back().running > 0)) return;
  outcome_.samples.push_back({now_, scheduler_.waiting_count(), scheduler_.running_count(), pool_.live_blocks(),
                              pool_.evictable_blocks(), pool_.total_blocks()});
}

void World::sleep() {
  check_time();
  Micros wait = 0;
  if (scheduler_.running_count() > 0) {
    wait = kStalledTurnUs;
  } else if (scheduler_.waiting_count() > 0) {
    const Micros deadline = scheduler_.next_deadline();
    wait = deadline == 0 ? kIdleTurnUs : std::clamp<Micros>(deadline - server_now(), 1, kIdleTurnUs);
  }
  if (wait == 0 || (wake_at_ >= 0 && wake_at_ <= now_ + wait)) return;
  wake_at_ = now_ + wait;
  at(wake_at_, EventKind::kWake, 0);
}

void World::end_step() {
  ++outcome_.steps;
  AbortNote::at_step(outcome_.steps, now_);
  compute();
  account_step();
  scheduler_.commit(step_, std::span<StepResult>(results_).first(step_.sequences.size()), server_now());
  const Micros took = now_ - step_begun_us_;
  scheduler_.note_step(step_, {.wall_us = took, .work_us = took});
  scheduler_.publish_load();
  gateway_.load().steps.fetch_add(1, std::memory_order_relaxed);
  gateway_.load().step_us_total.fetch_add(now_ - step_begun_us_, std::memory_order_relaxed);
  outcome_.busy_us += now_ - step_begun_us_;
  busy_ = false;
  woken_ = true;
  read_notices();
  if (!outcome_.violation) check_step();
}

void World::compute() {
  if (kv_) {
    if (!options_.sabotage.forgets_copies) kv_->copy(step_.copies);
    if (std::string wrong = kv_->compute(step_); !wrong.empty()) return fail(std::move(wrong));
  }
  lend_room(step_, results_, draft_events_);
  for (size_t i = 0; i < step_.sequences.size(); ++i) {
    const StepSequence& part = step_.sequences[i];
    Client& one = client(part.slot);
    results_[i].ok = !fail_step_ && !(fail_row_ && i == 0);
    one.failed |= !results_[i].ok;
    if (!part.samples || !results_[i].ok) continue;
    sample_with_drafts(part, [this, &part, &one](int32_t accepted, TokenEvent* out) {
      if (accepted > 0 && one.produced >= one.ticket->request->output_tokens) return false;  // that was its end
      out->token = token_for(part, accepted);
      ++one.produced;
      return true;
    }, &results_[i]);
  }
  fail_step_ = fail_row_ = false;
  if (options_.sabotage.changes_results) {
    options_.sabotage.changes_results(step_, std::span<StepResult>(results_).first(step_.sequences.size()));
  }
}

// Who was served what, and who started when.
void World::account_step() {
  for (size_t i = 0; i < step_.sequences.size(); ++i) {
    const StepSequence& part = step_.sequences[i];
    Client& one = client(part.slot);
    if (one.last_step == outcome_.steps) return fail(fmt::format("slot {} stands twice in a step", part.slot));
    const auto tenant = static_cast<size_t>(one.ticket->spec.tenant);
    if (one.started_us < 0) {
      one.started_us = step_begun_us_;
      --waiting_of_tenant_[tenant];
      started_.push_back(part.slot);
    } else if (part.position_begin < one.kv_tokens) {  // it was preempted and starts anew
      started_.erase(std::find(started_.begin(), started_.end(), part.slot));
      started_.push_back(part.slot);
    }
    one.last_step = outcome_.steps;
    one.kv_tokens = part.position_begin + part.known_count() + results_[i].accepted;
    const auto prompt = static_cast<int32_t>(part.prompt.size());
    const int32_t from = std::max(part.position_begin, one.furthest);
    const int32_t fresh = std::max(0, std::min(one.kv_tokens, prompt) - from);
    one.furthest = std::max(one.furthest, one.kv_tokens);
    TenantService& service = outcome_.tenants[tenant];
    service.prompt_tokens += fresh;
    const int32_t sampled = part.samples ? 1 + results_[i].accepted : 0;
    service.output_tokens += sampled;
    if (contended_) service.contended += fresh + 2 * sampled;
  }
}

void World::apply_controls(Micros now) {
  const Controls& controls = gateway_.controls();
  const int divisor = controls.halve_work.load(std::memory_order_relaxed) ? 2 : 1;
  const int32_t places = controls.running_limit.load(std::memory_order_relaxed);
  const SchedulerOptions& built = scheduler_.options();
  scheduler_.set_running_limit(std::max(1, (places > 0 ? places : built.running_max) / divisor));
  scheduler_.set_prefill_tokens_limit(controls.prefill_tokens_limit.load(std::memory_order_relaxed));
  scheduler_.set_hold_background(controls.hold_background.load(std::memory_order_relaxed));
  scheduler_.set_step_tokens_limit(built.step_tokens_max / divisor);
  const uint32_t cancels = controls.cancel_newest.load(std::memory_order_relaxed);
  if (cancels != cancels_seen_) scheduler_.cancel_newest(now);
  cancels_seen_ = cancels;
}

void World::apply_pool() {
  Controls& controls = gateway_.controls();
  const Controls::PoolOrder order = controls.pool_order();
  const int32_t ordered_before = pool_ordered_;
  const bool fresh_order = order.number != pool_order_seen_;
  if (fresh_order) pool_ordered_ = static_cast<int32_t>(order.blocks);
  pool_order_seen_ = order.number;
  const bool squeezed = controls.squeeze.load(std::memory_order_relaxed);
  const uint32_t drops = controls.drop_caches.load(std::memory_order_relaxed);
  if (drops != drops_seen_) pool_.evict_all();
  drops_seen_ = drops;
  const int32_t now = pool_.total_blocks();
  int32_t wanted = pool_ordered_;
  if (squeezed) {
    const int32_t least =
        std::max(pool_.live_blocks() + pool_.options().sequences_max, pool_.options().blocks_per_sequence_max);
    wanted = std::min(wanted, now - least >= std::max(1, now / 8) ? least : now);
  }
  scheduler_.set_squeezed(squeezed || now < pool_ordered_);
  PoolAnswer answer = PoolAnswer::kDone;
  if (wanted != now) {
    copies_.clear();
    memory_was_short_ |= wanted < now;
    missed_ = 0;
    if (!scheduler_.resize_pool(wanted, &copies_)) {
      answer = PoolAnswer::kGuaranteed;
      pool_ordered_ = ordered_before;
    }
    if (kv_ && !options_.sabotage.forgets_copies) kv_->copy(copies_);
    scheduler_.set_squeezed(squeezed || pool_.total_blocks() < pool_ordered_);
  }
  if (fresh_order) controls.answer_pool(order.number, answer);
}

}  // namespace weir::sim
