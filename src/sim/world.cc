#include "sim/world.h"

#include <algorithm>
#include <chrono>

#include "sim/abort_note.h"
#include "sim/scheduler_setup.h"

namespace weir::sim {

World::World(WorldOptions options, const StepProfile* profile, const Load* load)
    : options_(std::move(options)),
      shape_(options_.shape),
      profile_(profile),
      load_(load),
      gateway_(shape_.running_max + shape_.queued_max, places_of(scheduler_options(shape_)), 1, shape_.ring_events),
      door_(door_options(shape_), &gateway_),
      prefix_(shape_.prefix ? std::make_unique<PrefixCache>(PrefixCacheOptions{.blocks_max = shape_.blocks_max,
                                                                               .block_tokens = shape_.block_tokens})
                            : nullptr),
      pool_(pool_options(shape_), prefix_.get()),
      histories_(static_cast<size_t>(places_of(scheduler_options(shape_))) *
                 static_cast<size_t>(shape_.session_tokens)),
      scheduler_(scheduler_options(shape_), &pool_, prefix_.get(), &gateway_, histories_),
      ledger_(std::make_shared<Ledger>(LedgerOptions{.total_bytes_max = shape_.host_bytes_max,
                                                     .request_bytes_max = shape_.host_bytes_per_request})),
      clients_(static_cast<size_t>(gateway_.slots())),
      pool_ordered_(shape_.blocks),
      waiting_of_tenant_(shape_.tenants.size()) {
  if (options_.check_kv) kv_ = std::make_unique<KvMemory>(shape_.blocks_max, shape_.block_tokens, gateway_.slots());
  step_.reserve(shape_.step_tokens_max, places_of(scheduler_.options()));
  results_.resize(static_cast<size_t>(places_of(scheduler_.options())));
  draft_events_.resize(static_cast<size_t>(scheduler_.options().speculation.step_tokens_max));
  commands_.reserve(gateway_.command_capacity());
  copies_.reserve(static_cast<size_t>(shape_.blocks_max));
  outcome_.tenants.resize(shape_.tenants.size());
  for (size_t i = 0; i < shape_.tenants.size() && i < kTenantsMax; ++i) {
    gateway_.tenants().knobs[i].weight_milli.store(
        std::max(1, static_cast<int32_t>(shape_.tenants[i].weight * 1000)));
  }
  for (size_t i = 0; i < shape_.tenants.size() && i < kTenantsMax && shape_.tenants.size() > 1; ++i) {
    door_.set_tenant({static_cast<int32_t>(i), 0}, {}, std::max<int64_t>(1, static_cast<int64_t>(shape_.tenants[i].weight * 1000)));
  }
  door_.deal_shares();
  gateway_.tenants().used.store(static_cast<int32_t>(std::max<size_t>(1, shape_.tenants.size())));
  bound_us_ = bound_of_run();
  door_.set_ready();
  scheduler_.publish_load();
}

World::~World() = default;

void World::at(Micros when, EventKind kind, int32_t index, uint32_t generation) {
  events_.push({std::max(when, now_), event_order_++, kind, index, generation});
}

// FNV-1a over the words of what happened.
void World::note(EventKind kind, int64_t a, int64_t b) {
  for (const uint64_t word : {static_cast<uint64_t>(kind), static_cast<uint64_t>(now_), static_cast<uint64_t>(a),
                              static_cast<uint64_t>(b)}) {
    outcome_.event_hash = (outcome_.event_hash ^ word) * 0x100000001b3ull;
  }
}

Micros World::server_now() {
  const Micros now = std::max<Micros>(1, now_ + clock_skew_us_);
  clock_most_us_ = std::max(clock_most_us_, now);
  return now;
}

Outcome World::run() {
  const auto begin = std::chrono::steady_clock::now();
  for (size_t i = 0; i < options_.faults.size(); ++i) {
    at(options_.faults[i].at_us, EventKind::kFault, static_cast<int32_t>(i));
  }
  while (!outcome_.violation) {
    const bool arrivals = next_arrival_ < load_->requests.size();
    const Micros arrival = arrivals ? load_->requests[next_arrival_].arrival_us : 0;
    if (arrivals && (events_.empty() || arrival <= events_.top().at)) {
      now_ = std::max(now_, arrival);
      arrive(static_cast<int32_t>(next_arrival_++));
    } else if (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      handle(event);
    } else if (!woken_ || busy_) {
      break;
    }
    const bool more_now =
        (!events_.empty() && events_.top().at == now_) ||
        (next_arrival_ < load_->requests.size() && load_->requests[next_arrival_].arrival_us <= now_);
    if (!more_now && woken_ && !busy_ && !outcome_.violation) turn();
  }
  if (!outcome_.violation) check_all_returned();
  collect_figures();
  outcome_.real_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return std::move(outcome_);
}

void World::handle(const Event& event) {
  switch (event.kind) {
    case EventKind::kTokenised:
      return tokenised(event.index);
    case EventKind::kStepEnd:
      return end_step();
    case EventKind::kFault:
      return begin_fault(event.index);
    case EventKind::kFaultEnd:
      return end_fault(event.index);
    case EventKind::kWake:
      if (wake_at_ == event.at) {
        wake_at_ = -1;
        woken_ = true;
      }
      return;
    case EventKind::kRead:
    case EventKind::kLeave:
    case EventKind::kRelease:
      break;
  }
  if (client(event.index).generation != event.generation) return;  // of an occupant that is gone
  if (event.kind == EventKind::kRead) {
    client(event.index).read_pending = false;
    read(event.index);
  } else if (event.kind == EventKind::kLeave) {
    leave(event.index);
  } else {
    give_back(event.index);
  }
}

void World::collect_figures() {
  const LoadGauges& load = gateway_.load();
  outcome_.simulated_us = now_;
  outcome_.prompt_tokens = load.prompt_tokens.load();
  outcome_.output_tokens = load.output_tokens.load();
  outcome_.preemptions = load.preemptions.load();
  outcome_.recomputed_tokens = load.recomputed_tokens.load();
  outcome_.prefix_lookup_tokens = load.prefix_lookup_tokens.load();
  outcome_.prefix_hit_tokens = load.prefix_hit_tokens.load();
  outcome_.prefix_evictions = pool_.evictions();
  outcome_.ring_stalls = load.ring_stalls.load();
  outcome_.drafted_tokens = load.spec_drafted_tokens.load();
  outcome_.accepted_tokens = load.spec_accepted_tokens.load();
  for (size_t i = 0; i < outcome_.refusals.size(); ++i)
    outcome_.refusals[i] = door_.refusals(static_cast<Refusal>(i));
}

}  // namespace weir::sim
