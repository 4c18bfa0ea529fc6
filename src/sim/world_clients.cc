// World: the clients and the io half: the door, the ledger, rings, leaving, the place given back.
#include <algorithm>

#include "sim/world.h"

namespace weir::sim {
namespace {

// What a client reads as its token number `index`.
int32_t expected_token(uint64_t own_text, int32_t choice, int32_t index, int32_t output_tokens, int32_t period) {
  if (index + 1 >= output_tokens) return kEosToken;
  const uint64_t text = mix(own_text, static_cast<uint64_t>(choice) + 1);
  const bool slips = period > 0 && mix(text, static_cast<uint64_t>(index)) % 8 == 0;
  return token_from(text, period > 0 && !slips ? index % period : index);
}

}  // namespace

int32_t World::tenant_of(const SimRequest& request) const {
  return std::min(request.tenant, static_cast<int32_t>(shape_.tenants.size()) - 1);
}

int32_t World::class_of(const SimRequest& request) const {
  const int32_t asked = request.class_index < 0 ? shape_.default_class : request.class_index;
  return std::min(asked, static_cast<int32_t>(shape_.classes.size()) - 1);
}

void World::refuse(const Status& status) { door_.count_refusal(status.reason()); }

void World::arrive(int32_t index) {
  ++outcome_.offered;
  Result<Knock> knock = door_.knock({tenant_of(load_->requests[static_cast<size_t>(index)]), server_now()});
  note(EventKind::kTokenised, index, knock.ok());
  if (!knock.ok()) return refuse(knock.status());
  knocks_.emplace(index, std::move(*knock));
  if (shape_.tokenise_us == 0) return tokenised(index);
  at(now_ + shape_.tokenise_us, EventKind::kTokenised, index);
}

void World::tokenised(int32_t index) {
  const SimRequest& request = load_->requests[static_cast<size_t>(index)];
  const auto found = knocks_.find(index);
  Knock knock = std::move(found->second);
  knocks_.erase(found);
  if (request.leave == Leave::kWhileTokenising) {
    ++outcome_.gone_before_admission;
    return;
  }
  Charge prompt_charge(ledger_->open(), HostKind::kPromptIds);
  const Grant grant = prompt_charge.try_grow(static_cast<uint64_t>(request.prompt_tokens) * sizeof(int32_t));
  if (grant != Grant::kYes) {
    return door_.count_refusal(grant == Grant::kTotalFull ? Refusal::kHostBytesFull : Refusal::kOverHostBytes);
  }
  const int64_t most = request.max_tokens > 0 ? request.max_tokens : shape_.session_tokens;
  Demand demand{.prompt_tokens = {request.prompt_tokens},
                .n = request.choices,
                .timing = {.class_index = class_of(request), .now_us = server_now()},
                .visitor = {tenant_of(request), server_now()}};
  if (shape_.guaranteed) demand.guaranteed_tokens = std::min(shape_.session_tokens, request.prompt_tokens + most);
  Result<std::vector<Place>> places = door_.admit(demand, std::move(knock));
  note(EventKind::kTokenised, index, places.ok());
  if (!places.ok()) return refuse(places.status());
  submit(index, *std::move(places), std::move(prompt_charge));
}

void World::submit(int32_t index, std::vector<Place> places, Charge prompt_charge) {
  const SimRequest& request = load_->requests[static_cast<size_t>(index)];
  auto ticket = std::make_shared<Ticket>();
  ticket->request = &request;
  ticket->own_text = mix(options_.seed, static_cast<uint64_t>(index) + 1000);
  ticket->output_charge = Charge(prompt_charge.account(), HostKind::kOutput);
  ticket->prompt_charge = std::move(prompt_charge);
  RequestSpec& spec = ticket->spec;
  spec.id = static_cast<uint64_t>(index);
  write_prompt(*load_, request, ticket->own_text, &spec.prompt);
  const int64_t room = shape_.session_tokens - request.prompt_tokens;
  spec.params.max_tokens =
      static_cast<int32_t>(request.max_tokens > 0 ? std::min<int64_t>(request.max_tokens, room) : room);
  spec.arrival_us = std::max<Micros>(1, server_now() - (now_ - request.arrival_us));
  if (shape_.queue_timeout_us > 0) spec.queue_deadline_us = spec.arrival_us + shape_.queue_timeout_us;
  for (const Micros allowed : {shape_.request_timeout_us, request.deadline_us}) {
    if (allowed == 0) continue;
    const Micros deadline = spec.arrival_us + allowed;
    spec.deadline_us = spec.deadline_us == 0 ? deadline : std::min(spec.deadline_us, deadline);
  }
  spec.tenant = tenant_of(request);
  spec.class_index = class_of(request);
  spec.guaranteed = shape_.guaranteed;
  int32_t choice = 0;
  for (Place& place : places) {
    const SlotIndex slot = place.slot();
    Client& one = client(slot);
    if (one.place) return fail(fmt::format("slot {} was given out twice", slot));
    const uint32_t generation = one.generation + 1;
    one = Client{};
    one.generation = generation;
    one.ticket = ticket;
    one.choice = choice++;
    one.place = std::make_unique<Place>(std::move(place));
    Channel& channel = gateway_.channel(slot);
    channel.spec = &spec;
    channel.choice_index = one.choice;
    channel.io_index = 0;
    channel.ring = nullptr;
    channel.started_us = 0;
    if (kv_) kv_->forget(slot);
    ++places_held_;
    ++outcome_.submitted;
    ++waiting_of_tenant_[static_cast<size_t>(spec.tenant)];
    gateway_.submit(slot);
    woken_ = true;
    if (request.leave == Leave::kAtSubmit) leave(slot);
    if (request.leave == Leave::kAfterTime) at(now_ + request.leave_after, EventKind::kLeave, slot, generation);
  }
}

void World::leave(SlotIndex slot) {
  Client& one = client(slot);
  if (!one.place || one.gone) return;
  one.gone = true;
  note(EventKind::kLeave, slot, one.read);
  if (one.ended) return at(now_, EventKind::kRelease, slot, one.generation);
  one.cancel_sent = true;
  gateway_.cancel(slot);
  woken_ = true;
}

void World::read_notices() {
  gateway_.wake_io();
  Notice notice;
  while (!outcome_.violation && gateway_.next_notice(0, &notice)) {
    if (options_.sabotage.loses_notice && options_.sabotage.loses_notice(notice)) continue;
    Client& one = client(notice.slot);
    if (!one.place) return fail(fmt::format("a notice came for slot {}, which nobody holds", notice.slot));
    if (notice.finish == FinishReason::kNone) {
      read(notice.slot);
      continue;
    }
    note(EventKind::kRelease, notice.slot, static_cast<int64_t>(notice.finish));
    if (one.ended)
      return fail(fmt::format("slot {} ended twice: {} after {}", notice.slot, finish_reason_name(notice.finish),
                              finish_reason_name(one.reason)));
    one.ended = true;
    one.reason = notice.finish;
    ++outcome_.ended;
    ++outcome_.finishes[static_cast<size_t>(notice.finish)];
    check_end(notice.slot);
    if (one.ticket->request->leave == Leave::kAtFinish && !one.cancel_sent) {
      one.cancel_sent = true;  // it crosses the finish on its way and must do nothing
      gateway_.cancel(notice.slot);
    }
    if (one.gone) {
      at(now_, EventKind::kRelease, notice.slot, one.generation);
    } else {
      read(notice.slot);
    }
  }
}

void World::read(SlotIndex slot) {
  Client& one = client(slot);
  if (!one.place || one.gone) return;
  const SimRequest& request = *one.ticket->request;
  const bool slow = request.reader == Reader::kSlow;
  if (slow && one.read_pending) return;
  int most = INT32_MAX;
  if (slow) most = shape_.slow_reader_tokens;
  if (request.reader == Reader::kStops) most = std::max(0, (request.output_tokens + 1) / 2 - one.read);
  const int taken = take_tokens(slot, most);
  if (outcome_.violation) return;
  if (request.leave == Leave::kAfterTokens && one.read >= request.leave_after && !one.ended) return leave(slot);
  if (one.gone) return;
  const bool all_read = one.ended && one.read >= one.produced;
  if (all_read || (one.ended && taken == 0 && request.reader == Reader::kFast)) return end_of_answer(slot);
  if (slow) {
    one.read_pending = true;
    at(now_ + shape_.slow_reader_us, EventKind::kRead, slot, one.generation);
  } else if (request.reader == Reader::kStops && taken < most && !one.ended) {
    return;  // it still reads
  } else if (request.reader == Reader::kStops && !one.cut_pending) {
    one.cut_pending = true;
    at(now_ + shape_.write_timeout_us, EventKind::kLeave, slot, one.generation);
  }
}

// RETURNS: how many; each is compared with what the model must have said.
int World::take_tokens(SlotIndex slot, int most) {
  Client& one = client(slot);
  EventRing* const ring = gateway_.channel(slot).ring;
  int taken = 0;
  TokenEvent event;
  while (ring != nullptr && taken < most && ring->try_pop(&event)) {
    const Ticket& ticket = *one.ticket;
    if (event.token != expected_token(ticket.own_text, one.choice, one.read, ticket.request->output_tokens,
                                      shape_.text_period)) {
      fail(fmt::format("request {} choice {} read a wrong token as number {}", ticket.spec.id, one.choice,
                       one.read));
      break;
    }
    if (one.first_us < 0) one.first_us = now_;
    one.last_us = now_;
    ++one.read;
    ++taken;
    if (one.ticket->output_charge.try_grow(sizeof(int32_t)) != Grant::kYes && !one.ended) {
      leave(slot);  // as api/ does: the answer has no room, the engine need not go on
      break;
    }
  }
  return taken;
}

void World::end_of_answer(SlotIndex slot) {
  const Client& one = client(slot);
  if (one.read != one.produced) {
    return fail(fmt::format("request {} ended with {} and {} of its {} tokens were read", one.ticket->spec.id,
                            finish_reason_name(one.reason), one.read, one.produced));
  }
  at(now_ + shape_.io_us, EventKind::kRelease, slot, one.generation);
}

void World::give_back(SlotIndex slot) {
  Client& one = client(slot);
  const RequestSpec& spec = one.ticket->spec;
  const SimRequest& request = *one.ticket->request;
  if (options_.keep_records) {
    const auto since = [&](Micros when) { return when < 0 ? Micros{-1} : when - request.arrival_us; };
    outcome_.records.push_back({.arrival_us = request.arrival_us,
                                .start_wait_us = since(one.started_us),
                                .first_token_us = since(one.first_us),
                                .last_token_us = since(one.last_us),
                                .prompt_tokens = request.prompt_tokens,
                                .output_tokens = one.read,
                                .tenant = spec.tenant,
                                .class_index = spec.class_index,
                                .reason = one.reason,
                                .left = one.gone,
                                .late = spec.deadline_us > 0 && one.last_us >= 0 &&
                                        since(one.last_us) > spec.deadline_us - spec.arrival_us});
  }
  if (options_.sabotage.loses_release && options_.sabotage.loses_release(slot)) return;
  ++one.generation;
  gateway_.release(slot);  // first the word to the engine, then the slot: its next occupant's submit comes after it
  one.place.reset();
  one.ticket.reset();
  --places_held_;
  woken_ = true;
}

int32_t World::token_for(const StepSequence& part, int32_t accepted) {
  const Client& one = client(part.slot);
  return expected_token(one.ticket->own_text, one.choice, static_cast<int32_t>(part.output.size()) + accepted,
                        one.ticket->request->output_tokens, shape_.text_period);
}

}  // namespace weir::sim
