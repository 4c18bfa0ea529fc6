#include "api/generation.h"

#include <algorithm>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "api/deadline.h"
#include "api/service.h"
#include "base/log.h"

namespace weir::api {
namespace {

ApiError refusal(Code code, Refusal why, std::string message) {
  return {.status = {code, std::move(message), refusal_name(why)}};
}

}  // namespace

uint64_t Generation::fixed_bytes(const ApiContext& context) {
  constexpr uint64_t kFormatBytes = 768;  // the format and what stands around the model's name in its texts
  constexpr uint64_t kNames = 4;          // so often is the model's name in them, escapes included
  constexpr uint64_t kBlockBytes = 2 * sizeof(void*);  // of the shared object
  return sizeof(Generation) + kBlockBytes + kRequestIdBytesMax + kFormatBytes + kNames * context.model_name.size();
}

Generation::Generation(Service* service, std::unique_ptr<RequestBody> body, GenerateRequest request, Reply reply,
                       Charge held, Knock knock, std::unique_ptr<LiveRequest> live)
    : service_(service),
      body_(std::move(body)),
      request_(std::move(request)),
      reply_(std::move(reply)),
      held_(std::move(held)),
      prompts_charge_(held_.account(), HostKind::kPromptIds),
      sampler_charge_(held_.account(), HostKind::kSampler),
      sse_charge_(held_.account(), HostKind::kSse),
      body_charge_(held_.account(), HostKind::kOutput),
      knock_(std::move(knock)),
      arrival_us_(live->arrival_us()),
      deadline_us_(live->deadline_us()),
      next_keepalive_us_(arrival_us_ + service->context.queue_keepalive_us),
      live_(std::move(live)) {
  service_->live.fetch_add(1, std::memory_order_relaxed);
}

Generation::~Generation() {
  for (const Seat& seat : seats_) WEIR_CHECK(seat.released);
  service_->live.fetch_sub(1, std::memory_order_release);
}

// The callbacks hold no ownership: a request that was refused must not live on in its own exchange. What can be found from
// outside lives there.
void Generation::start() {
  const std::weak_ptr<Generation> weak = weak_from_this();
  reply_.exchange().on_gone([weak](http::Gone why) {
    if (const auto self = weak.lock()) self->contained([&] { self->on_gone(why); });
  });
  live_->follow(weak);
  reply_.exchange().on_done([weak, live = std::move(live_)] {
    if (const auto self = weak.lock()) self->contained([&] { self->on_done(); });
  });
  contained([this] { enter_text_pool(); });
}

void Generation::enter_text_pool() {
  http::Callback job = [self = shared_from_this()] { self->make_prompts_on_pool(); };
  if (service_->text_pool.try_run(std::move(job), request_.tenant, request_.work_bytes)) return;
  fail(refusal(Code::kResourceExhausted, Refusal::kTextPoolFull, "too many prompts wait to be tokenised; try again later"));
}

void Generation::make_prompts_on_pool() {
  if (!is_unwanted()) {
    thrown_on_pool_ = contain([this] {
      if (auto error = read_body()) {
        prompts_ = std::move(*error);
        return;
      }
      if (is_unwanted()) return;
      prompts_ = make_prompts(service_->context, &request_, &prompts_charge_);
      const uint64_t kept = fixed_bytes(service_->context) + held_bytes(request_);
      if (kept < held_.bytes()) held_.shrink(held_.bytes() - kept);
    });
  }
  reply_.exchange().post([self = shared_from_this()] { self->contained([&] { self->after_text(); }); });
}

std::optional<ApiError> Generation::read_body() {
  if (!body_) return {};
  const auto body = std::move(body_);
  return read_request(*service_, fixed_bytes(service_->context), body.get(), &held_, &request_);
}

// The exchange may know of a client that left before its on_gone callback has had its turn.
void Generation::after_text() {
  if (over() || reply_.exchange().gone() != http::Gone::kNo) return;
  if (thrown_on_pool_ != Thrown::kNothing) return end_after_throw(thrown_on_pool_);
  if (const auto* error = std::get_if<ApiError>(&prompts_)) return fail(*error);
  if (deadline_us_ != 0 && service_->now_us() >= deadline_us_) return fail(deadline_passed(kWhileText));
  admit(std::move(std::get<std::vector<PromptTokens>>(prompts_)));
}

void Generation::admit(std::vector<PromptTokens> prompts) {
  const Micros now = service_->now_us();
  reply_.about_class(request_.class_index);
  Demand demand{.n = request_.n,
                .timing = {.class_index = request_.class_index, .now_us = now, .deadline_us = deadline_us_},
                .visitor = {request_.tenant, now}};
  for (const PromptTokens& prompt : prompts) {
    const auto tokens = static_cast<int64_t>(prompt.ids.size());
    demand.prompt_tokens.push_back(tokens);
    if (is_guaranteed()) demand.guaranteed_tokens = std::max(demand.guaranteed_tokens, tokens + prompt.max_tokens);
  }
  auto places = service_->context.door->admit(demand, std::move(knock_));
  if (!places.ok()) {
    const bool about_prompt = places.status().code() == Code::kInvalidArgument;
    const char* param = !about_prompt ? "" : request_.endpoint == Endpoint::kChat ? "messages" : "prompt";
    return fail({.status = places.status(), .param = param});
  }
  places_ = std::move(*places);
  const Grant grant = charge_seats(prompts.size(), places_.size());
  if (grant != Grant::kYes) {
    return_unsubmitted();
    return fail_host(grant, HostMoment::kBeforeWork);
  }
  take_seats(std::move(prompts));
}

// Where max_tokens is not named, nobody said how much to hold: such a request runs by forecast.
bool Generation::is_guaranteed() const { return service_->context.guaranteed && request_.max_tokens.has_value(); }

void Generation::on_notice(void* tag, FinishReason finish) {
  Seat* const seat = static_cast<Seat*>(tag);
  const std::shared_ptr<Generation> self = seat->owner->shared_from_this();  // release_finished may drop the last one
  if (finish != FinishReason::kNone) seat->engine_finished = true;  // it is said once, whatever happens below
  self->contained([&] { self->take_news(seat, finish); });
}

void Generation::take_news(Seat* seat, FinishReason finish) {
  if (EventRing* ring = service_->context.gateway->channel(seat->place.slot()).ring) {
    uint64_t produced = 0;  // counted also where the client will not see them: they were computed for it
    bool popped = false;
    for (TokenEvent event; ring->try_pop(&event); popped = true) {
      produced += !seat->answer.scoring();  // a prompt's token was counted when it was admitted
      take_token(seat, event);
    }
    if (popped) service_->context.gateway->note_read(seat->place.slot());
    if (produced > 0) service_->context.door->note_output(request_.tenant, produced);
  }
  service_->roster.note_progress(seat->place.slot(), static_cast<int32_t>(seat->answer.tokens()));
  note_start(seat, finish);
  if (finish != FinishReason::kNone) end_seat(seat, finish);
  if (!over()) write_news(seat);
  complete_if_all_finished();
  release_finished();
}

void Generation::take_token(Seat* seat, const TokenEvent& event) {
  if (over() || seat->finish_reason != nullptr) return;
  const Micros now = service_->now_us();
  if (!token_seen_) service_->metrics.first_token.observe_us(now - arrival_us_);
  token_seen_ = true;
  if (seat->first_token_us == 0) seat->first_token_us = now;
  seat->last_token_us = now;
  switch (seat->answer.take(event)) {
    case Took::kMore: return;
    case Took::kRefused: return fail_host(seat->answer.refusal(), HostMoment::kMidway);
    case Took::kStopped: break;
  }
  cancel(seat);
  finish_choice(seat, "stop");
}

void Generation::finish_choice(Seat* seat, const char* reason) {
  const Took tail = seat->answer.end();
  if (tail == Took::kRefused) return fail_host(seat->answer.refusal(), HostMoment::kMidway);
  seat->finish_reason = tail == Took::kStopped ? "stop" : reason;
  usage_.completion_tokens += seat->answer.tokens();
  note_end(*seat);
}

// A wait in vain is a sample too; a client that left while it waited is none.
void Generation::note_start(Seat* seat, FinishReason finish) {
  const Micros started = service_->context.gateway->channel(seat->place.slot()).started_us;
  if (seat->start_noted || (started == 0 && finish != FinishReason::kQueueTimeout)) return;
  seat->start_noted = true;
  // Each prompt once, as prompt_tokens counts it: its first choice computed what was not cached.
  if (started != 0 && seat->index % request_.n == 0) {
    usage_.cached_tokens += service_->context.gateway->channel(seat->place.slot()).cached_tokens;
  }
  service_->metrics.queue.observe_us((started != 0 ? started : service_->now_us()) - arrival_us_);
}

void Generation::note_end(const Seat& seat) {
  const int64_t gaps = seat.answer.tokens() - 1;
  if (gaps > 0) service_->metrics.token_gap.observe_us((seat.last_token_us - seat.first_token_us) / gaps);
}

void Generation::open_stream() {
  if (stream_open_) return;
  stream_open_ = true;
  reply_.begin_sse();
}

// One SSE event for all the tokens that one step brought. The head leaves with the first token and not before, so
// that a wait in vain can still be a 503.
void Generation::write_news(Seat* seat) {
  const bool finished = seat->finish_reason != nullptr;
  if (!request_.stream || (!seat->answer.started() && !finished)) return;
  out_.clear();
  const size_t most = format_->chunks_bytes_max(seat->answer.text(), seat->answer.logprobs());
  if (const Grant grant = make_room(&out_, most, &sse_charge_); grant != Grant::kYes) {
    return fail_host(grant, HostMoment::kMidway);
  }
  if (!seat->opened) format_->open_chunk(seat->index, &out_);
  seat->opened = true;
  if (seat->answer.has_news()) {
    format_->text_chunk(seat->index, seat->answer.text(), seat->answer.logprobs(), &out_);
    seat->answer.clear();
  }
  // The finish chunk once, with the turn in which the choice finished; later turns only drain the ring.
  if (finished && !seat->finish_sent) format_->finish_chunk(seat->index, seat->finish_reason, &out_);
  seat->finish_sent = finished;
  if (out_.empty()) return;
  open_stream();
  if (!reply_.exchange().write(out_)) fail_host(why_unsent(), HostMoment::kMidway);
}

void Generation::complete_if_all_finished() {
  const auto finished = [](const Seat& seat) { return seat.finish_reason != nullptr; };
  if (over() || !std::all_of(seats_.begin(), seats_.end(), finished)) return;
  if (!request_.stream) return answer_whole();
  out_.clear();
  if (const Grant grant = make_room(&out_, format_->end_bytes_max(), &sse_charge_); grant != Grant::kYes) {
    return fail_host(grant, HostMoment::kMidway);
  }
  format_->end_of_stream(usage_, &out_);
  if (!reply_.exchange().write(out_)) return fail_host(why_unsent(), HostMoment::kMidway);
  answered_ = true;
  reply_.end_sse();
}

// The body is charged before it is made, while the texts it is made from are still there.
void Generation::answer_whole() {
  std::vector<FinishedChoice> choices;
  choices.reserve(seats_.size());
  for (const Seat& seat : seats_) choices.push_back({seat.answer.text(), &seat.answer.logprobs(), seat.finish_reason});
  const Grant grant = body_charge_.try_grow(format_->body_bytes_max(choices));
  if (grant != Grant::kYes) return fail_host(grant, HostMoment::kMidway);
  answered_ = true;
  std::string body = format_->body(choices, usage_);
  drop_answers();
  reply_.json(200, std::move(body), http::ChargedBy::kCaller);
}

// Nobody will read them any more. The engine may go on for a moment; its tokens are then ignored.
void Generation::drop_answers() {
  for (Seat& seat : seats_) seat.answer.drop();
  drop_text(&out_, &sse_charge_);
}

void Generation::fail(const ApiError& error) {
  answered_ = true;
  unwanted_.store(true, std::memory_order_relaxed);
  knock_ = {};
  cancel_all();
  drop_answers();
  if (stream_open_) {
    reply_.sse_error(error);
  } else {
    reply_.error(error);
  }
}

void Generation::cancel(Seat* seat) {
  if (seat->engine_finished || seat->cancelled) return;
  seat->cancelled = true;
  service_->context.gateway->cancel(seat->place.slot());
}

void Generation::cancel_all() {
  for (Seat& seat : seats_) cancel(&seat);
}

void Generation::on_gone(http::Gone why) {
  gone_ = true;
  unwanted_.store(true, std::memory_order_relaxed);
  knock_ = {};
  drop_answers();
  if (!seats_.empty()) service_->metrics.gone[static_cast<size_t>(why)].fetch_add(1, std::memory_order_relaxed);
  cancel_all();
}

// May drop every shared_ptr to this but the caller's.
void Generation::release_finished() {
  if (!done_) return;
  const std::shared_ptr<Generation> self = shared_from_this();
  for (Seat& seat : seats_) {
    if (!seat.engine_finished || seat.released) continue;
    seat.released = true;
    const SlotIndex slot = seat.place.slot();
    service_->roster.leave(slot);
    service_->context.gateway->release(slot);
    service_->by_slot[static_cast<size_t>(slot)].reset();
    const Place back = std::move(seat.place);
  }
}

}  // namespace weir::api
