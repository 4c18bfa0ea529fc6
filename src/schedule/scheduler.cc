#include "schedule/scheduler.h"

#include <algorithm>

#include "base/check.h"
#include "base/counting_resource.h"

namespace weir {
void Step::reserve(int tokens_max, int sequences_max) {
  tokens.reserve(static_cast<size_t>(tokens_max));
  positions.reserve(static_cast<size_t>(tokens_max));
  rows.reserve(static_cast<size_t>(tokens_max));
  sequences.reserve(static_cast<size_t>(sequences_max));
  copies.reserve(static_cast<size_t>(sequences_max));
}

uint64_t Step::bytes(int tokens_max, int sequences_max) {
  const auto tokens = static_cast<uint64_t>(tokens_max), sequences = static_cast<uint64_t>(sequences_max);
  return 3 * arena_bytes(tokens * sizeof(int32_t)) + arena_bytes(sequences * sizeof(StepSequence)) +
         arena_bytes(sequences * sizeof(BlockCopy));
}

void lend_room(const Step& step, std::span<StepResult> results, std::span<TokenEvent> events) {
  size_t lent = 0;
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const size_t count = step.sequences[i].drafts.size();
    results[i].more = events.subspan(lent, count);
    results[i].accepted = 0;
    lent += count;
  }
}

void Step::clear() {
  tokens.clear();
  positions.clear();
  rows.clear();
  sequences.clear();
  copies.clear();
}

Scheduler::Scheduler(SchedulerOptions options, BlockPool* pool, PrefixCache* prefix, Gateway* gateway,
                     std::span<int32_t> histories, std::pmr::memory_resource* memory)
    : options_(std::move(options)),
      pool_(pool),
      prefix_(prefix),
      gateway_(gateway),
      histories_(histories),
      sequences_(static_cast<size_t>(options_.slots), memory),
      waiting_(options_.slots, static_cast<int>(options_.classes.size()), options_.tenants, memory),
      deadlines_(options_.slots, memory),
      running_(memory),
      tenant_running_(static_cast<size_t>(options_.tenants), 0, memory),
      free_places_(memory),
      tables_(memory),
      lengths_(options_.overcommit_quantile, pool->options().block_tokens),
      usual_lengths_(0.5, pool->options().block_tokens),
      start_forecast_(options_.running_max, &step_time_, memory),
      codel_(options_.codel_target_us),
      speculation_(options_.speculation, options_.places(), options_.session_tokens, memory),
      running_limit_(options_.running_max),
      step_tokens_limit_(options_.step_tokens_max),
      scratch_(pool, memory),
      giving_way_(memory),
      starts_(memory),
      match_(static_cast<size_t>(pool->options().blocks_per_sequence_max), memory),
      forecast_(memory) {
  WEIR_CHECK(options_.step_tokens_max >= options_.running_max);
  const auto places = static_cast<size_t>(options_.places());
  WEIR_CHECK(histories.size() >= places * static_cast<size_t>(options_.session_tokens));
  running_.reserve(places);
  free_places_.reserve(places);
  tables_.reserve(places);
  giving_way_.reserve(places + kLookAhead);  // what is looked at in one step may end without ever having run
  starts_.reserve(places);
  forecast_.reserve(places + 1);
  for (int place = options_.places(); place-- > 0;) free_places_.push_back(place);
  for (int place = 0; place < options_.places(); ++place) {
    auto opened = pool_->open_table();
    WEIR_CHECK(opened.has_value());
    tables_.push_back(std::move(*opened));
  }
}

uint64_t Scheduler::bytes(const SchedulerOptions& options, const BlockPoolOptions& pool) {
  const auto places = static_cast<uint64_t>(options.places()), slots = static_cast<uint64_t>(options.slots);
  return arena_bytes(slots * sizeof(Sequence)) +
         FairQueue::bytes(options.slots, static_cast<int>(options.classes.size()), options.tenants) +
         DeadlineHeap::bytes(options.slots) + StartForecast::bytes(options.running_max) + arena_bytes(static_cast<uint64_t>(options.tenants) * sizeof(int32_t)) +
         2 * arena_bytes(places * sizeof(SlotIndex)) + arena_bytes(places * sizeof(BlockTable)) +
         arena_bytes((places + kLookAhead) * sizeof(GivingWay)) + arena_bytes(places * sizeof(Start)) +
         arena_bytes((places + 1) * sizeof(ForecastEntry)) +
         arena_bytes(static_cast<uint64_t>(pool.blocks_per_sequence_max) * sizeof(int32_t)) + BlockScratch::storage_bytes(pool) +
         Speculation::bytes(options.speculation, options.places(), options.session_tokens);
}

void Scheduler::on_command(Command command, Micros now) {
  now_ = now;
  Sequence& sequence = at(command.slot);
  switch (command.kind) {
    case Command::Kind::kSubmit: return submit(command.slot, now);
    case Command::Kind::kRelease: return release(command.slot);
    case Command::Kind::kCancel:
      if (sequence.stage == SequenceStage::kWaiting || sequence.stage == SequenceStage::kRunning) {
        finish(command.slot, FinishReason::kCancelled, now);
      }
      return;
  }
}

void Scheduler::submit(SlotIndex slot, Micros now) {
  Sequence& sequence = at(slot);
  const Channel& channel = gateway_->channel(slot);
  WEIR_CHECK(sequence.stage == SequenceStage::kFree);
  sequence = {.stage = SequenceStage::kWaiting,
              .spec = channel.spec,
              .choice_index = channel.choice_index,
              .tenant = channel.spec->tenant,
              .class_now = channel.spec->class_index,
              .age = ++ages_,
              .submitted_us = now,
              .since_us = now,
              .prompt_tokens = static_cast<int32_t>(channel.spec->prompt.size()),
              .scored_tokens = static_cast<int32_t>(channel.spec->params.scored.size())};
  WEIR_CHECK(sequence.prompt_tokens >= 1 && sequence.prompt_tokens < options_.session_tokens);
  WEIR_CHECK(sequence.tenant >= 0 && sequence.tenant < options_.tenants);
  WEIR_CHECK(sequence.class_now >= 0 && static_cast<size_t>(sequence.class_now) < options_.classes.size());
  deadlines_.set(slot, time_up(sequence));
  others_ += own_kind(sequence) != ClassKind::kBackground;
  join_queue(slot, WaitReason::kNew);
}

void Scheduler::release(SlotIndex slot) {
  Sequence& sequence = at(slot);
  WEIR_CHECK(sequence.stage == SequenceStage::kEnded);
  if (sequence.place >= 0) {
    free_places_.push_back(sequence.place);
    placed_prompt_tokens_ -= sequence.prompt_tokens;
  }
  sequence = {};
}

void Scheduler::join_queue(SlotIndex slot, WaitReason reason) {
  const Sequence& sequence = at(slot);
  waiting_.push(slot, {sequence.class_now, sequence.tenant, sequence.age, sequence.since_us});
  waiting_tokens_ += sequence.prompt_tokens;
  parked_ += sequence.place >= 0;
  gauges(sequence).waiting.fetch_add(1, std::memory_order_relaxed);
  gateway_->channel(slot).wait.begin();
  say(slot, reason);
}

// The queue itself has let go of it already.
void Scheduler::leave_queue(const Sequence& sequence) {
  waiting_tokens_ -= sequence.prompt_tokens;
  parked_ -= sequence.place >= 0;
  gauges(sequence).waiting.fetch_sub(1, std::memory_order_relaxed);
}

void Scheduler::leave_running(SlotIndex slot) {
  const Sequence& sequence = at(slot);
  running_.erase(std::find(running_.begin(), running_.end(), slot));
  --tenant_running_[static_cast<size_t>(sequence.tenant)];
  gauges(sequence).running.fetch_sub(1, std::memory_order_relaxed);
}

// When something is to happen to it although it does nothing.
Micros Scheduler::time_up(const Sequence& sequence) const {
  const Micros total = sequence.spec->deadline_us == 0 ? DeadlineHeap::kNever : sequence.spec->deadline_us;
  if (!sequence.fresh() || sequence.spec->queue_deadline_us == 0) return total;
  return std::min(total, sequence.spec->queue_deadline_us);
}

void Scheduler::expire(Micros now) {
  now_ = now;
  while (!deadlines_.empty() && deadlines_.first_at() <= now) {
    const SlotIndex slot = deadlines_.first();
    const RequestSpec& spec = *at(slot).spec;
    const bool total = spec.deadline_us != 0 && deadlines_.first_at() == spec.deadline_us;
    finish(slot, total ? FinishReason::kDeadline : FinishReason::kQueueTimeout, now);
  }
}

// What a tenant is charged for so many tokens.
double Scheduler::cost(const Sequence& sequence, int64_t tokens) const {
  const int32_t weight = knobs(sequence).weight_milli.load(std::memory_order_relaxed);
  return static_cast<double>(tokens) * 1000.0 / std::max(1, weight);
}

std::span<const int32_t> Scheduler::text_of(const Sequence& sequence) const {
  if (sequence.fresh()) return sequence.spec->prompt;
  return std::span<const int32_t>(history(sequence.place)).first(static_cast<size_t>(sequence.total()));
}

// Back into the queue, with the age it has. Its blocks were released by the plan or are by the caller.
void Scheduler::preempt(SlotIndex slot, Micros now) {
  Sequence& sequence = at(slot);
  WEIR_CHECK(table(sequence).blocks().empty());
  leave_running(slot);
  gateway_->load().preemptions.fetch_add(1, std::memory_order_relaxed);
  sequence.lost_tokens = sequence.kv_tokens;
  sequence.kv_tokens = sequence.shared_blocks = sequence.published_blocks = 0;
  sequence.planned_tokens = sequence.planned_drafts = 0;
  sequence.stage = SequenceStage::kWaiting;
  sequence.since_us = now - sequence.waited_us;
  join_queue(slot, WaitReason::kPreempted);
}

void Scheduler::commit(const Step& step, std::span<const StepResult> results, Micros now) {
  WEIR_CHECK(results.size() == step.sequences.size());
  now_ = now;
  bool drafted = false;
  for (size_t i = 0; i < results.size(); ++i) {
    const StepSequence& part = step.sequences[i];
    Sequence& sequence = at(part.slot);
    WEIR_CHECK(sequence.stage == SequenceStage::kRunning && sequence.planned_tokens == part.token_count);
    WEIR_CHECK(sequence.planned_drafts == part.draft_count());
    sequence.planned_tokens = sequence.planned_drafts = 0;
    drafted |= part.draft_count() > 0;
    if (!results[i].ok) {
      finish(part.slot, FinishReason::kError, now);
      continue;
    }
    const int32_t prompt_before = std::min(sequence.kv_tokens, sequence.prompt_tokens);
    sequence.kv_tokens += part.known_count();
    const int32_t prompt_after = std::min(sequence.kv_tokens, sequence.prompt_tokens);
    const auto computed = static_cast<uint64_t>(prompt_after - prompt_before);
    gateway_->load().prompt_tokens.fetch_add(computed, std::memory_order_relaxed);
    gauges(sequence).prompt_tokens.fetch_add(computed, std::memory_order_relaxed);
    publish_blocks(&sequence);
    if (!part.samples) continue;
    const int32_t taken = take_tokens(part, results[i], now);
    if (part.draft_count() > 0) count_drafts(part, results[i].accepted, taken);
  }
  if (drafted) gateway_->load().spec_steps.fetch_add(1, std::memory_order_relaxed);
}

// Makes the blocks that this step filled known. Where another sequence was faster with the same text, its block
// takes the place of ours: the contents are the same bit for bit (promise 8), so ours is free again.
void Scheduler::publish_blocks(Sequence* sequence) {
  if (prefix_ == nullptr || !sequence->can_publish) return;
  const auto size = static_cast<size_t>(pool_->options().block_tokens);
  const int32_t whole = sequence->kv_tokens / pool_->options().block_tokens;
  const int32_t table_row = row(sequence->place);
  for (int32_t& b = sequence->published_blocks; b < whole; ++b) {
    const std::span<const int32_t> blocks = pool_->row_blocks(table_row);
    const int32_t own = blocks[static_cast<size_t>(b)];
    if (pool_->references(own) != 1 || pool_->is_kept(own)) {  // a sibling's, not yet known: leave it to that one
      sequence->can_publish = false;
      return;
    }
    const int32_t parent = b == 0 ? PrefixCache::kNone : blocks[static_cast<size_t>(b) - 1];
    const auto tokens = text_of(*sequence).subspan(static_cast<size_t>(b) * size, size);
    const int32_t known = prefix_->publish(own, parent, tokens);
    if (known == own) {
      pool_->keep(own);
    } else {
      pool_->replace(table_row, b, known);
    }
  }
}

void Scheduler::take_token(SlotIndex slot, const TokenEvent& token, Micros now) {
  Sequence& sequence = at(slot);
  history(sequence.place)[static_cast<size_t>(sequence.total())] = token.token;
  ++sequence.output_tokens;
  gateway_->load().output_tokens.fetch_add(1, std::memory_order_relaxed);
  gauges(sequence).output_tokens.fetch_add(1, std::memory_order_relaxed);
  waiting_.charge(sequence.class_now, sequence.tenant, cost(sequence, kOutputCost));
  const FinishReason reason = reason_to_end(sequence, token.token);
  WEIR_CHECK(gateway_->channel(slot).ring->try_push(token));
  gateway_->publish_tokens(slot);
  if (reason != FinishReason::kNone) finish(slot, reason, now);
}

FinishReason Scheduler::reason_to_end(const Sequence& sequence, int32_t token) const {
  const SamplingParams& params = sequence.spec->params;
  const auto among = [token](const std::vector<int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  if (sequence.chosen() > 0 && sequence.chosen() >= params.min_tokens) {
    if (!params.ignore_eos && among(options_.eos_ids)) return FinishReason::kStop;
    if (among(params.stop_token_ids)) return FinishReason::kStop;
  }
  if (sequence.output_tokens >= params.max_tokens) return FinishReason::kLength;
  const bool background = own_kind(sequence) == ClassKind::kBackground;
  if (background && background_tokens_max_ > 0 && sequence.chosen() >= background_tokens_max_) {
    return FinishReason::kLength;
  }
  // The history is full; the next token would have no position.
  if (sequence.total() >= options_.session_tokens) return FinishReason::kLength;
  return FinishReason::kNone;
}

void Scheduler::finish(SlotIndex slot, FinishReason reason, Micros now) {
  Sequence& sequence = at(slot);
  Channel& channel = gateway_->channel(slot);
  if (sequence.stage == SequenceStage::kWaiting) {
    waiting_.remove(slot);
    leave_queue(sequence);
    if (sequence.fresh()) start_forecast_.gave_up(sequence.told, now);
  } else {
    WEIR_CHECK(sequence.stage == SequenceStage::kRunning);
    table(sequence).release();
    leave_running(slot);
  }
  deadlines_.set(slot, DeadlineHeap::kNever);
  others_ -= own_kind(sequence) != ClassKind::kBackground;
  say(slot, WaitReason::kNone);
  if ((reason == FinishReason::kStop || reason == FinishReason::kLength) && sequence.chosen() > 0) {
    lengths_.add(sequence.chosen());
    usual_lengths_.add(sequence.chosen());
  }
  channel.prompt_tokens_done = std::min(sequence.kv_tokens, sequence.prompt_tokens);
  sequence.stage = SequenceStage::kEnded;
  sequence.spec = nullptr;
  note_finish(now);
  gateway_->finish(slot, reason);
}

// Smoothed time between ends while there is work: what Retry-After is computed from. One eighth of each new
// interval, as TCP smooths its round trip (RFC 6298).
void Scheduler::note_finish(Micros now) {
  std::atomic<int64_t>& smoothed = gateway_->load().finish_interval_us;
  if (last_finish_us_ != 0) {
    const int64_t interval = std::max<int64_t>(now - last_finish_us_, 1);
    const int64_t old = smoothed.load(std::memory_order_relaxed);
    smoothed.store(old == 0 ? interval : old + (interval - old) / 8, std::memory_order_relaxed);
  }
  const bool idle = running_.empty() && waiting_.empty();
  last_finish_us_ = idle ? 0 : now;
}

void Scheduler::finish_all(FinishReason reason, Micros now) {
  while (!waiting_.empty()) finish(waiting_.any(), reason, now);
  while (!running_.empty()) finish(running_.back(), reason, now);
}

void Scheduler::publish_load() const {
  LoadGauges& load = gateway_->load();
  load.head_blocked.store(head_blocked_, std::memory_order_relaxed);
  load.running.store(active_count(), std::memory_order_relaxed);
  load.waiting.store(waiting_.count(), std::memory_order_relaxed);
  for (size_t c = 0; c < options_.classes.size(); ++c) {
    load.waiting_by_class[c].store(waiting_.count_of(static_cast<int>(c)), std::memory_order_relaxed);
  }
  load.waiting_tokens.store(waiting_tokens_, std::memory_order_relaxed);
  load.running_prompt_tokens.store(placed_prompt_tokens_, std::memory_order_relaxed);
  load.blocks_free.store(pool_->free_blocks(), std::memory_order_relaxed);
  load.blocks_live.store(pool_->live_blocks(), std::memory_order_relaxed);
  load.blocks_evictable.store(pool_->evictable_blocks(), std::memory_order_relaxed);
  load.blocks_total.store(pool_->total_blocks(), std::memory_order_relaxed);
  load.prefix_evictions.store(pool_->evictions(), std::memory_order_relaxed);
}

void Scheduler::check_invariants() const {
  int waiting = 0, running = 0, placed = 0, parked = 0, others = 0;
  int64_t waiting_tokens = 0;
  for (const Sequence& sequence : sequences_) {
    waiting += sequence.stage == SequenceStage::kWaiting;
    waiting_tokens += sequence.stage == SequenceStage::kWaiting ? sequence.prompt_tokens : 0;
    running += sequence.stage == SequenceStage::kRunning;
    placed += sequence.place >= 0;
    others += sequence.spec != nullptr && own_kind(sequence) != ClassKind::kBackground;
    parked += sequence.stage == SequenceStage::kWaiting && sequence.place >= 0;
    if (sequence.place < 0) continue;
    const BlockTable& held = tables_[static_cast<size_t>(sequence.place)];
    WEIR_CHECK(sequence.stage == SequenceStage::kRunning || held.blocks().empty());
    WEIR_CHECK(sequence.kv_tokens <= held.capacity_tokens() || sequence.stage == SequenceStage::kEnded);
  }
  WEIR_CHECK(waiting == waiting_.count() && waiting_tokens == waiting_tokens_ && parked == parked_ && others == others_);
  WEIR_CHECK(running == running_count() && running <= options_.running_max);
  WEIR_CHECK(placed + static_cast<int>(free_places_.size()) == options_.places());
  WEIR_CHECK(std::is_sorted(running_.begin(), running_.end(),
                            [this](SlotIndex a, SlotIndex b) { return at(a).class_now < at(b).class_now; }));
  waiting_.check_everything();
  pool_->check_everything();
  if (prefix_ != nullptr) prefix_->check_everything();
}

}  // namespace weir
