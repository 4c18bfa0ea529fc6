// Generation: what ends an answer early or keeps its client waiting: the engine's reasons, the clock, an operator.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "api/deadline.h"
#include "api/generation.h"
#include "api/service.h"
#include "base/log.h"

namespace weir::api {
namespace {

ApiError refusal(Code code, Refusal why, std::string message) {
  return {.status = {code, std::move(message), refusal_name(why)}};
}

}  // namespace

// What the engine's reason means to the client, where the client has not got its answer yet.
void Generation::end_seat(Seat* seat, FinishReason finish) {
  if (over() || seat->finish_reason != nullptr) return;
  switch (finish) {
    case FinishReason::kStop: return finish_choice(seat, "stop");
    case FinishReason::kLength: return finish_choice(seat, "length");
    case FinishReason::kQueueTimeout:
      return fail(refusal(Code::kUnavailable, Refusal::kQueueTimeout,
                          "the request waited longer than the server's --queue-timeout; try again later"));
    case FinishReason::kShutdown:
      return fail(refusal(Code::kUnavailable, Refusal::kDraining, "the server shut down before the answer was complete"));
    case FinishReason::kMemoryPressure:
      return fail(refusal(Code::kUnavailable, Refusal::kMemoryPressure,
                          "the machine ran short of memory and this request was the newest; try again later"));
    case FinishReason::kDeadline:
      return fail(deadline_passed(how_far(*seat)));
    case FinishReason::kExpired:
      return fail(refusal(Code::kUnavailable, Refusal::kExpired,
                          "the queue has been standing and the request had waited too long in it; try again later"));
    case FinishReason::kStuck:
      return fail(refusal(Code::kInternal, Refusal::kStuck,
                          "computing this request did not come to an end and it was stopped; others are not affected"));
    case FinishReason::kError:
      return fail({.status = internal_error("the model failed on this request; others are not affected")});
    case FinishReason::kCancelled:
    case FinishReason::kNone: break;
  }
  fail({.status = internal_error("the request was cancelled inside the server")});
}

// For the body of an error: what had been done by then.
std::string Generation::how_far(const Seat& seat) const {
  const Channel& channel = service_->context.gateway->channel(seat.place.slot());
  const auto prompt = static_cast<int64_t>(channel.spec->prompt.size());
  if (channel.started_us == 0) return fmt::format("while it waited in the queue; none of {} prompt tokens was computed", prompt);
  if (seat.answer.tokens() > 0) return fmt::format("after {} tokens of the answer", seat.answer.tokens());
  return fmt::format("after {} of {} prompt tokens", channel.prompt_tokens_done, prompt);
}

// http says only that it could not keep the event: the account tells whether this request was the reason.
Grant Generation::why_unsent() const {
  const Account& account = *held_.account();
  const auto full = [&](uint64_t used, uint64_t max) { return used > max - std::min(max, 2 * out_.size()); };
  if (full(account.used_bytes(), account.ledger().options().request_bytes_max)) return Grant::kRequestFull;
  const int group = account.group();
  if (group < 0 || !full(account.ledger().group_used(group), account.ledger().group_max(group)))
    return Grant::kTotalFull;
  return full(account.used_bytes(), account.ledger().group_max(group)) ? Grant::kOverGroup : Grant::kGroupFull;
}

void Generation::fail_host(Grant why, HostMoment when) { fail(host_refusal(why, when, *held_.account())); }

// RETURNS: false where nobody is left to be told.
bool Generation::abort() {
  if (gone_) return false;
  if (answered_) {
    reply_.exchange().cut();  // it is complete, and its last bytes are on their way
  } else {
    contained([&] { fail(aborted_by_operator()); });
  }
  return true;
}

// The engine may go on for a moment; a sequence that it has finished is released here where the exchange is done
// already.
void Generation::end_after_throw(Thrown thrown) noexcept {
  answered_ = true;
  unwanted_.store(true, std::memory_order_relaxed);
  knock_ = {};
  return_unsubmitted();
  cancel_all();
  drop_answers();
  reply_.end_after_throw(thrown);
  release_finished();
}

// The places that were given and that the engine was never told of.
void Generation::return_unsubmitted() noexcept {
  if (submitted_) return;
  for (Seat& seat : seats_) {
    seat.released = true;
    service_->context.door->take_back(std::move(seat.place));
  }
  seats_.clear();
  for (Place& place : places_) service_->context.door->take_back(std::move(place));
  places_.clear();
}

// The engine looks after the deadlines of what it knows.
void Generation::look_at_clock(Micros now) {
  if (over()) return;
  if (seats_.empty() && deadline_us_ != 0 && now >= deadline_us_) return fail(deadline_passed(kWhileText));
  const bool waits =
      !seats_.empty() && request_.stream && !token_seen_;  // request_ is the pool's until there are seats
  if (!waits || service_->context.queue_keepalive_us == 0 || now < next_keepalive_us_) return;
  next_keepalive_us_ = now + service_->context.queue_keepalive_us;
  open_stream();
  if (!reply_.exchange().write(waiting_comment())) fail_host(why_unsent(), HostMoment::kMidway);
}

// For the choice that starts first; a comment of SSE, which every reader skips.
std::string Generation::waiting_comment() const {
  constexpr int32_t kUnknown = std::numeric_limits<int32_t>::max();
  int32_t ahead = kUnknown;
  for (const Seat& seat : seats_) {
    const WaitView& wait = service_->context.gateway->channel(seat.place.slot()).wait;
    const WaitReason reason = wait.reason.load(std::memory_order_relaxed);
    if (reason == WaitReason::kNew) continue;
    if (reason == WaitReason::kNone) return ": computing the prompt\n\n";
    ahead = std::min(ahead, wait.ahead.load(std::memory_order_relaxed));
  }
  return ahead == kUnknown ? ": waiting\n\n" : fmt::format(": waiting, {} ahead\n\n", ahead);
}

std::vector<SlotIndex> Generation::live_slots() const {
  std::vector<SlotIndex> slots;
  for (const Seat& seat : seats_) {
    if (!seat.engine_finished) slots.push_back(seat.place.slot());
  }
  return slots;
}

void Generation::on_done() {
  done_ = true;
  const Micros took_us = service_->now_us() - arrival_us_;
  const bool was_admitted = !seats_.empty();
  if (was_admitted) service_->metrics.request.observe_us(took_us);
  release_finished();
  if (!was_admitted || !log_enabled(LogLevel::kDebug)) return;
  log_debug("api", fmt::format("request {}: {} after {:.1f} ms and {} tokens", reply_.request_id(),
                               gone_ ? "its client left" : "done", static_cast<double>(took_us) * 1e-3,
                               usage_.completion_tokens));
}

}  // namespace weir::api
