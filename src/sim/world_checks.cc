// World: what must hold after every step and at the end (docs/contract.md), and how long a finite run may last.
#include <algorithm>

#include "sim/world.h"

namespace weir::sim {

void World::fail(std::string what) {
  if (outcome_.violation) return;
  outcome_.violation = Violation{.what = std::move(what), .step = outcome_.steps, .at_us = now_};
}

void World::check_step() {
  check_counts();
  check_progress();
  check_time();
  if (outcome_.violation || outcome_.steps % static_cast<uint64_t>(options_.check_every) != 0) return;
  scheduler_.check_invariants();  // CHECKs; walks blocks, tables, queue and prefix cache
}

void World::check_counts() {
  const int32_t total = pool_.free_blocks() + pool_.live_blocks() + pool_.evictable_blocks();
  if (total != pool_.total_blocks()) {
    return fail(fmt::format("{} free, {} live and {} kept blocks are not the pool's {}", pool_.free_blocks(),
                            pool_.live_blocks(), pool_.evictable_blocks(), pool_.total_blocks()));
  }
  if (door_.admitted() != places_held_ || places_held_ > gateway_.slots()) {
    return fail(fmt::format("the door counts {} places, the clients hold {} of {} slots", door_.admitted(),
                            places_held_, gateway_.slots()));
  }
  if (scheduler_.running_count() > scheduler_.options().running_max) {
    return fail(
        fmt::format("{} sequences run in {} places", scheduler_.running_count(), scheduler_.options().running_max));
  }
  if (step_.tokens.size() > static_cast<size_t>(scheduler_.options().step_tokens_max)) {
    return fail(fmt::format("a step of {} tokens", step_.tokens.size()));
  }
}

// The oldest running sequence of the highest class moves on, unless its reader does not let it: preemption cannot
// loop. A few steps of grace, because it may wait for a prefix that another one computes, or for a chunk's turn.
void World::check_progress() {
  SlotIndex oldest = -1;
  for (const SlotIndex slot : started_) {
    const Client& one = client(slot);
    // Put back, it waits for its turn like everybody else.
    if (gateway_.channel(slot).wait.reason.load(std::memory_order_relaxed) != WaitReason::kNone) continue;
    if (oldest < 0 || one.ticket->spec.class_index < client(oldest).ticket->spec.class_index) oldest = slot;
  }
  const uint32_t generation = oldest < 0 ? 0 : client(oldest).generation;
  const bool same = oldest == watched_ && generation == watched_generation_;
  watched_ = oldest;
  watched_generation_ = generation;
  if (oldest < 0) return;
  const bool blocked = gateway_.channel(oldest).ring->room() == 0;
  if (!same || blocked || client(oldest).last_step == outcome_.steps) {
    missed_ = 0;
    return;
  }
  const int64_t grace = 64 + 4 * shape_.session_tokens / shape_.step_tokens_max;
  if (++missed_ > grace) {
    fail(fmt::format("request {} is the oldest running one and was in none of {} steps",
                     client(oldest).ticket->spec.id, missed_));
  }
}

void World::check_end(SlotIndex slot) {
  Client& one = client(slot);
  const auto at = std::find(started_.begin(), started_.end(), slot);
  if (at != started_.end()) {
    started_.erase(at);
  } else {
    --waiting_of_tenant_[static_cast<size_t>(one.ticket->spec.tenant)];
  }
  if (justified(one)) return;
  fail(fmt::format("request {} ended with {} after {} of {} tokens, for which there is no reason",
                   one.ticket->spec.id, finish_reason_name(one.reason), one.produced,
                   one.ticket->request->output_tokens));
}

bool World::justified(const Client& one) const {
  const RequestSpec& spec = one.ticket->spec;
  const int64_t text = one.ticket->request->prompt_tokens + int64_t{one.produced};
  switch (one.reason) {
    case FinishReason::kStop:
      return one.produced == one.ticket->request->output_tokens;
    case FinishReason::kLength:
      return one.produced >= spec.params.max_tokens || text >= shape_.session_tokens || memory_was_short_ ||
             pool_.blocks_for(text) + 1 > std::min(pool_.total_blocks(), pool_.options().blocks_per_sequence_max);
    case FinishReason::kCancelled:
      return one.cancel_sent;
    case FinishReason::kQueueTimeout:
      return spec.queue_deadline_us > 0 && clock_most_us_ >= spec.queue_deadline_us;
    case FinishReason::kShutdown:
      return shut_down_;
    case FinishReason::kError:
      return one.failed;
    case FinishReason::kMemoryPressure:
      return memory_was_short_;
    case FinishReason::kDeadline:
      return spec.deadline_us > 0;
    case FinishReason::kExpired:
      return shape_.classes[static_cast<size_t>(spec.class_index)].kind == ClassKind::kUrgent;
    case FinishReason::kStuck:
    case FinishReason::kNone:
      return false;
  }
  return false;
}

void World::check_time() {
  if (now_ <= bound_us_ || outcome_.violation) return;
  for (SlotIndex slot = 0; slot < gateway_.slots(); ++slot) {
    const Client& one = client(slot);
    if (!one.place || one.ended) continue;
    return fail(fmt::format(
        "request {} has not ended, {:.1f} s after its arrival; everything should have ended by {:.1f} s",
        one.ticket->spec.id, static_cast<double>(now_ - one.ticket->request->arrival_us) / 1e6,
        static_cast<double>(bound_us_) / 1e6));
  }
}

// A generous end: all work one after the other, several times over, and every delay that was ordered.
Micros World::bound_of_run() const {
  const int64_t step_tokens = std::max(1, shape_.step_tokens_max / 2), session = shape_.session_tokens;
  const Micros full = profile_->step_us(
      {shape_.step_tokens_max, shape_.running_max, shape_.step_tokens_max * session, shape_.running_max * session});
  Micros work = 0;
  for (const SimRequest& request : load_->requests) {
    const int64_t steps = std::min<int64_t>(request.prompt_tokens, session) / step_tokens + 1 +
                          std::min<int64_t>(request.output_tokens, session);
    work += steps * full * request.choices;
    if (request.reader == Reader::kSlow)
      work += (request.output_tokens / shape_.slow_reader_tokens + 2) * shape_.slow_reader_us;
    if (request.reader == Reader::kStops) work += shape_.write_timeout_us;
  }
  Micros delays = 0;
  for (const ServerFault& fault : options_.faults) {
    if (fault.kind != FaultKind::kResizePool && fault.kind != FaultKind::kLimitRunning) delays += fault.amount;
  }
  const Micros last_fault = options_.faults.empty() ? 0 : options_.faults.back().at_us;
  const auto classes = static_cast<int64_t>(shape_.classes.size());
  return std::max(load_->last_arrival_us(), last_fault) + 60'000'000 + 4 * work + delays +
         classes * shape_.ageing_us;
}

void World::check_all_returned() {
  if (outcome_.ended != outcome_.submitted) {
    const auto left =
        std::find_if(clients_.begin(), clients_.end(), [](const Client& one) { return one.place && !one.ended; });
    return fail(
        fmt::format("{} of {} sequences never ended, and nothing more will happen; the first is of request {}",
                    outcome_.submitted - outcome_.ended, outcome_.submitted,
                    left == clients_.end() ? 0 : left->ticket->spec.id));
  }
  const LoadGauges& load = gateway_.load();
  const std::array<std::pair<const char*, int64_t>, 7> must_be_zero = {{
      {"places held at the door", door_.admitted()},
      {"places held by clients", places_held_},
      {"live blocks", pool_.live_blocks()},
      {"running sequences", scheduler_.running_count()},
      {"waiting sequences", scheduler_.waiting_count()},
      {"places in use", load.running.load()},
      {"bytes in the ledger", static_cast<int64_t>(ledger_->used_bytes())},
  }};
  for (const auto& [what, count] : must_be_zero) {
    if (count != 0) return fail(fmt::format("at the end there are still {} {}", count, what));
  }
  pool_.evict_all();
  if (pool_.free_blocks() != pool_.total_blocks()) {
    return fail(fmt::format("at the end {} of {} blocks are free", pool_.free_blocks(), pool_.total_blocks()));
  }
  scheduler_.check_invariants();
}

}  // namespace weir::sim
