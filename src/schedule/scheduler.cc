#include "schedule/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace weir {

void Step::reserve(int tokens_max, int sequences_max) {
  tokens.reserve(static_cast<size_t>(tokens_max));
  positions.reserve(static_cast<size_t>(tokens_max));
  rows.reserve(static_cast<size_t>(tokens_max));
  sequences.reserve(static_cast<size_t>(sequences_max));
}

void Step::clear() {
  tokens.clear();
  positions.clear();
  rows.clear();
  sequences.clear();
}

Scheduler::Scheduler(SchedulerOptions options, BlockPool* pool, Gateway* gateway, std::span<int32_t> histories)
    : options_(std::move(options)),
      pool_(pool),
      gateway_(gateway),
      histories_(histories),
      sequences_(static_cast<size_t>(options_.slots)),
      waiting_(options_.slots) {
  WEIR_CHECK(options_.step_tokens_max >= options_.running_max);
  WEIR_CHECK(histories.size() >= static_cast<size_t>(options_.running_max) * static_cast<size_t>(options_.session_tokens));
  running_.reserve(static_cast<size_t>(options_.running_max));
  for (int place = options_.running_max; place-- > 0;) free_places_.push_back(place);
  for (int place = 0; place < options_.running_max; ++place) {
    auto opened = pool_->open_table();
    WEIR_CHECK(opened.has_value());
    tables_.push_back(std::move(*opened));
  }
}

void Scheduler::on_command(Command command, Micros now) {
  Sequence& sequence = at(command.slot);
  switch (command.kind) {
    case Command::Kind::kSubmit: return submit(command.slot);
    case Command::Kind::kRelease: return release(command.slot);
    case Command::Kind::kCancel:
      if (sequence.stage == Stage::kWaiting || sequence.stage == Stage::kRunning) {
        finish(command.slot, FinishReason::kCancelled, now);
      }
      return;
  }
}

void Scheduler::submit(SlotIndex slot) {
  Sequence& sequence = at(slot);
  const Channel& channel = gateway_->channel(slot);
  WEIR_CHECK(sequence.stage == Stage::kFree);
  sequence = {.stage = Stage::kWaiting,
              .spec = channel.spec,
              .choice_index = channel.choice_index,
              .prompt_tokens = static_cast<int32_t>(channel.spec->prompt.size())};
  WEIR_CHECK(sequence.prompt_tokens >= 1 && sequence.prompt_tokens < options_.session_tokens);
  waiting_.push_back(slot);
  waiting_tokens_ += sequence.prompt_tokens;
}

void Scheduler::release(SlotIndex slot) {
  Sequence& sequence = at(slot);
  WEIR_CHECK(sequence.stage == Stage::kEnded);
  if (sequence.place >= 0) {
    free_places_.push_back(sequence.place);
    placed_prompt_tokens_ -= sequence.prompt_tokens;
  }
  sequence = {};
}

// The queue is in arrival order, so deadlines are too, except for preempted sequences at its head: they have started
// and are past their deadline's meaning.
void Scheduler::expire_waiting(Micros now) {
  SlotIndex slot = waiting_.front();
  while (slot != WaitingList::kNone) {
    const Sequence& sequence = at(slot);
    const SlotIndex next = waiting_.after(slot);
    if (sequence.place < 0) {
      const Micros deadline = sequence.spec->queue_deadline_us;
      if (deadline == 0 || deadline > now) return;
      finish(slot, FinishReason::kQueueTimeout, now);
    }
    slot = next;
  }
}

Micros Scheduler::next_deadline() const {
  for (SlotIndex slot = waiting_.front(); slot != WaitingList::kNone; slot = waiting_.after(slot)) {
    if (at(slot).place < 0) return at(slot).spec->queue_deadline_us;
  }
  return 0;
}

void Scheduler::plan_step(Micros now, Step* step) {
  step->clear();
  start_waiting(now);
  plan_running(now, step);
}

void Scheduler::start_waiting(Micros now) {
  head_blocked_ = false;
  while (!waiting_.empty()) {
    const SlotIndex slot = waiting_.front();
    const Sequence& head = at(slot);
    if (head.place < 0 && free_places_.empty()) return;
    if (!can_start(head)) {
      head_blocked_ = true;
      return;
    }
    start(slot, now);
  }
}

bool Scheduler::can_start(const Sequence& sequence) const {
  const auto soon = static_cast<int64_t>(running_.size());
  return pool_->free_blocks() >= pool_->blocks_for(sequence.total() + 1) + soon;
}

void Scheduler::start(SlotIndex slot, Micros now) {
  Sequence& sequence = at(slot);
  waiting_.remove(slot);
  waiting_tokens_ -= sequence.prompt_tokens;
  sequence.stage = Stage::kRunning;
  if (sequence.place < 0) {
    sequence.place = free_places_.back();
    free_places_.pop_back();
    placed_prompt_tokens_ += sequence.prompt_tokens;
    std::copy(sequence.spec->prompt.begin(), sequence.spec->prompt.end(), history(sequence.place).begin());
    Channel& channel = gateway_->channel(slot);
    channel.ring = &gateway_->ring(sequence.place);
    channel.ring->reset();
    channel.started_us = now;
  }
  // All blocks of the known text at once: two half-prefilled prompts cannot starve each other.
  WEIR_CHECK(table(sequence).grow(sequence.total()) == Grow::kOk);
  running_.push_back(slot);
}

// First the decodes, then prefill chunks from what the budget leaves: a long prompt delays nobody's next token by
// more than one step.
void Scheduler::plan_running(Micros now, Step* step) {
  int32_t budget = options_.step_tokens_max;
  for (size_t i = 0; i < running_.size(); ++i) {
    const SlotIndex slot = running_[i];
    Sequence& sequence = at(slot);
    if (sequence.pending() != 1) continue;
    if (gateway_->channel(slot).ring->room() == 0) {  // its reader is slow; http cuts it off if that lasts
      gateway_->load().ring_stalls.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (!make_room(slot, sequence.total(), now)) {
      // It gave way itself: either ended or went back to the queue, and running_ is shorter by one.
      --i;
      continue;
    }
    sequence.planned_tokens = 1;
    --budget;
  }
  for (const SlotIndex slot : running_) {
    Sequence& sequence = at(slot);
    if (sequence.pending() <= 1) continue;
    // A chunk that ends the prompt samples, so it too needs room for its token.
    const bool blocked = gateway_->channel(slot).ring->room() == 0;
    sequence.planned_tokens = blocked ? 0 : std::min(sequence.pending(), budget);
    budget -= sequence.planned_tokens;
  }
  for (const SlotIndex slot : running_) {
    if (at(slot).planned_tokens > 0) add_to_step(slot, at(slot).planned_tokens, step);
  }
}

// Gets blocks for `to_tokens` positions, preempting newer sequences while none is free.
// RETURNS: false when the sequence itself had to give way.
bool Scheduler::make_room(SlotIndex slot, int32_t to_tokens, Micros now) {
  Sequence& sequence = at(slot);
  for (;;) {
    const Grow grown = table(sequence).grow(to_tokens);
    if (grown == Grow::kOk) return true;
    const SlotIndex newest = running_.back();
    if (grown == Grow::kRowFull || running_.size() == 1) {
      finish(slot, FinishReason::kLength, now);  // the whole pool could not hold one token more
      return false;
    }
    preempt(newest);
    if (newest == slot) return false;
  }
}

void Scheduler::preempt(SlotIndex slot) {
  Sequence& sequence = at(slot);
  WEIR_CHECK(running_.back() == slot);
  running_.pop_back();
  table(sequence).release();
  gateway_->load().preemptions.fetch_add(1, std::memory_order_relaxed);
  gateway_->load().recomputed_tokens.fetch_add(static_cast<uint64_t>(sequence.kv_tokens), std::memory_order_relaxed);
  sequence.kv_tokens = 0;
  sequence.planned_tokens = 0;
  sequence.stage = Stage::kWaiting;
  waiting_.push_front(slot);
  waiting_tokens_ += sequence.prompt_tokens;
}

void Scheduler::add_to_step(SlotIndex slot, int32_t count, Step* step) {
  const Sequence& sequence = at(slot);
  const auto text = std::span<const int32_t>(history(sequence.place)).first(static_cast<size_t>(sequence.total()));
  const auto row = static_cast<int32_t>(step->sequences.size());
  step->sequences.push_back({
      .slot = slot,
      .place = sequence.place,
      .token_begin = static_cast<int32_t>(step->tokens.size()),
      .token_count = count,
      .position_begin = sequence.kv_tokens,
      .samples = sequence.kv_tokens + count == sequence.total(),
      .params = &sequence.spec->params,
      .prompt = text.first(static_cast<size_t>(sequence.prompt_tokens)),
      .output = text.subspan(static_cast<size_t>(sequence.prompt_tokens)),
      .blocks = tables_[static_cast<size_t>(sequence.place)].blocks(),
      .choice_index = sequence.choice_index,
  });
  for (int32_t i = 0; i < count; ++i) {
    step->tokens.push_back(text[static_cast<size_t>(sequence.kv_tokens + i)]);
    step->positions.push_back(sequence.kv_tokens + i);
    step->rows.push_back(row);
  }
}

void Scheduler::commit(const Step& step, std::span<const StepResult> results, Micros now) {
  WEIR_CHECK(results.size() == step.sequences.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const StepSequence& part = step.sequences[i];
    Sequence& sequence = at(part.slot);
    WEIR_CHECK(sequence.stage == Stage::kRunning && sequence.planned_tokens == part.token_count);
    sequence.planned_tokens = 0;
    const int32_t prompt_before = std::min(sequence.kv_tokens, sequence.prompt_tokens);
    sequence.kv_tokens += part.token_count;
    const int32_t prompt_after = std::min(sequence.kv_tokens, sequence.prompt_tokens);
    gateway_->load().prompt_tokens.fetch_add(static_cast<uint64_t>(prompt_after - prompt_before),
                                             std::memory_order_relaxed);
    if (!results[i].ok) {
      finish(part.slot, FinishReason::kError, now);
    } else if (part.samples) {
      take_token(part.slot, results[i].token, now);
    }
  }
}

void Scheduler::take_token(SlotIndex slot, const TokenEvent& token, Micros now) {
  Sequence& sequence = at(slot);
  history(sequence.place)[static_cast<size_t>(sequence.total())] = token.token;
  ++sequence.output_tokens;
  gateway_->load().output_tokens.fetch_add(1, std::memory_order_relaxed);
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
  if (sequence.output_tokens >= params.min_tokens) {
    if (!params.ignore_eos && among(options_.eos_ids)) return FinishReason::kStop;
    if (among(params.stop_token_ids)) return FinishReason::kStop;
  }
  if (sequence.output_tokens >= params.max_tokens) return FinishReason::kLength;
  // The history is full; the next token would have no position.
  if (sequence.total() >= options_.session_tokens) return FinishReason::kLength;
  return FinishReason::kNone;
}

void Scheduler::finish(SlotIndex slot, FinishReason reason, Micros now) {
  Sequence& sequence = at(slot);
  Channel& channel = gateway_->channel(slot);
  if (sequence.stage == Stage::kWaiting) {
    waiting_.remove(slot);
    waiting_tokens_ -= sequence.prompt_tokens;
  } else {
    WEIR_CHECK(sequence.stage == Stage::kRunning);
    table(sequence).release();
    running_.erase(std::find(running_.begin(), running_.end(), slot));
  }
  channel.prompt_tokens_done = std::min(sequence.kv_tokens, sequence.prompt_tokens);
  sequence.stage = Stage::kEnded;
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
  while (!waiting_.empty()) finish(waiting_.front(), reason, now);
  while (!running_.empty()) finish(running_.back(), reason, now);
}

void Scheduler::publish_load() const {
  LoadGauges& load = gateway_->load();
  const auto places = static_cast<int32_t>(static_cast<size_t>(options_.running_max) - free_places_.size());
  load.head_blocked.store(head_blocked_, std::memory_order_relaxed);
  load.running.store(places, std::memory_order_relaxed);
  load.waiting.store(waiting_.count(), std::memory_order_relaxed);
  load.waiting_tokens.store(waiting_tokens_, std::memory_order_relaxed);
  load.running_prompt_tokens.store(placed_prompt_tokens_, std::memory_order_relaxed);
  load.blocks_free.store(pool_->free_blocks(), std::memory_order_relaxed);
  load.blocks_live.store(pool_->total_blocks() - pool_->free_blocks(), std::memory_order_relaxed);
  load.blocks_total.store(pool_->total_blocks(), std::memory_order_relaxed);
}

void Scheduler::check_invariants() const {
  int waiting = 0, running = 0, placed = 0;
  int64_t waiting_tokens = 0, blocks = 0;
  for (const Sequence& sequence : sequences_) {
    waiting += sequence.stage == Stage::kWaiting;
    waiting_tokens += sequence.stage == Stage::kWaiting ? sequence.prompt_tokens : 0;
    running += sequence.stage == Stage::kRunning;
    placed += sequence.place >= 0;
    if (sequence.place < 0) continue;
    const BlockTable& held = tables_[static_cast<size_t>(sequence.place)];
    blocks += static_cast<int64_t>(held.blocks().size());
    WEIR_CHECK(sequence.stage == Stage::kRunning || held.blocks().empty());
    WEIR_CHECK(sequence.kv_tokens <= held.capacity_tokens() || sequence.stage == Stage::kEnded);
  }
  WEIR_CHECK(waiting == waiting_.count() && waiting_tokens == waiting_tokens_);
  WEIR_CHECK(running == running_count());
  WEIR_CHECK(placed + static_cast<int>(free_places_.size()) == options_.running_max);
  WEIR_CHECK(blocks + pool_->free_blocks() == pool_->total_blocks());
}

}  // namespace weir
