// Generation: from admitted places to the sequences that the engine has.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "api/generation.h"
#include "api/service.h"
#include "base/log.h"

namespace weir::api {
namespace {

ResponseIdentity identity_of(const Service& service, const GenerateRequest& request, uint64_t id) {
  const char* prefix = request.endpoint == Endpoint::kChat ? "chatcmpl-" : "cmpl-";
  return {.id = prefix + RequestIds::hex(id),
          .model = service.context.model_name,
          .created = unix_seconds(),
          .with_usage = request.include_usage,
          .with_logprobs = request.params.wants_logprobs()};
}

// To the engine the prompt is its first token, and the others are an answer that is given.
void score_prompt(RequestSpec* spec) {
  std::vector<int32_t>& scored = spec->params.scored;
  scored.swap(spec->prompt);
  spec->prompt.assign(1, scored[0]);
  scored.erase(scored.begin());
}

}  // namespace

// Each prompt's spec has parameters of its own; stop strings and ids are once more in the rules.
Grant Generation::charge_seats(size_t prompts, size_t seats) {
  const uint64_t params = held_bytes(request_.params);
  uint64_t rules = 2 * params + service_->context.eos_ids.size() * sizeof(int32_t);
  for (const std::string& stop : request_.stop)
    rules += 2 * stop.capacity() + (stop.size() + 1) * sizeof(int16_t) + 64;
  const Grant grant = sampler_charge_.try_grow(prompts * params + rules);
  return grant == Grant::kYes ? held_.try_grow(seats * sizeof(Seat)) : grant;
}

Grant Generation::begin_answers(const std::vector<PromptTokens>& prompts) {
  for (Seat& seat : seats_) {
    const auto index = static_cast<size_t>(seat.index / request_.n);
    const RequestSpec& spec = *specs_[index];
    AnswerStart start{.echo = prompts[index].echo, .alone = prompts[index].max_tokens == 0};
    // A completion goes on with its prompt's text, a chat's answer begins one unless it continues a message.
    if (request_.endpoint == Endpoint::kCompletion || request_.continues_message) start.prompt = spec.prompt;
    if (request_.scores_prompt()) start.scores_to_come = spec.params.scored.size();
    const Grant grant = seat.answer.begin(start);
    if (grant != Grant::kYes) return grant;
  }
  return Grant::kYes;
}

std::unique_ptr<RequestSpec> Generation::make_spec(uint64_t id, PromptTokens* prompt) {
  const int64_t wait_us = service_->context.queue_timeout_us;
  auto spec = std::make_unique<RequestSpec>();
  spec->id = id;
  spec->prompt = std::move(prompt->ids);
  spec->params = request_.params;
  if (request_.scores_prompt()) score_prompt(spec.get());
  const auto scored = static_cast<int32_t>(spec->params.scored.size());
  spec->params.max_tokens = std::max(1, scored + prompt->max_tokens);
  spec->guaranteed = is_guaranteed();
  spec->params.min_tokens = std::min(spec->params.min_tokens, prompt->max_tokens);
  if (prompt->max_tokens == 0) {  // what comes behind the prompt is ignored, and no reason to stop
    spec->params.ignore_eos = true;
    spec->params.stop_token_ids.clear();
  }
  if (!request_.seeded) spec->params.seed = service_->ids.next();
  spec->arrival_us = arrival_us_;
  spec->deadline_us = deadline_us_;
  spec->tenant = request_.tenant;
  spec->class_index = request_.class_index;
  spec->queue_deadline_us = wait_us > 0 ? arrival_us_ + wait_us : std::numeric_limits<Micros>::max();
  return spec;
}

// All that can fail comes before the first submit, so that the engine knows of all the seats or of none.
void Generation::take_seats(std::vector<PromptTokens> prompts) {
  const ApiContext& context = service_->context;
  const uint64_t id = service_->ids.next();
  format_ = ResponseFormat::create(request_.endpoint, identity_of(*service_, request_, id));
  rules_.emplace(request_, context.tokenizer, context.eos_ids);
  for (PromptTokens& prompt : prompts) {
    usage_.prompt_tokens += static_cast<int64_t>(prompt.ids.size());
    specs_.push_back(make_spec(id, &prompt));
  }
  seats_.reserve(places_.size());
  for (Place& place : places_) {
    Answer answer(&*rules_, held_.account());
    const int index = static_cast<int>(seats_.size());
    seats_.push_back({.owner = this, .place = std::move(place), .answer = std::move(answer), .index = index});
  }
  std::vector<Place>().swap(places_);
  if (const Grant grant = begin_answers(prompts); grant != Grant::kYes) {
    return_unsubmitted();
    return fail_host(grant, HostMoment::kBeforeWork);
  }
  if (log_enabled(LogLevel::kDebug)) {
    log_debug("api", fmt::format("request {}: admitted with {} sequences and {} prompt tokens", reply_.request_id(),
                                 seats_.size(), usage_.prompt_tokens));
  }
  submit_all();
}

// The engine may have stopped since the request was admitted: from then on it takes nothing, and what it did not
// take ends here.
void Generation::submit_all() {
  submitted_ = true;
  size_t taken = 0;
  for (Seat& seat : seats_) taken += submit(&seat, seat.index / request_.n, seat.index % request_.n) ? 1 : 0;
  for (; taken < seats_.size(); ++taken) on_notice(&seats_[taken], FinishReason::kShutdown);
}

// RETURNS: false where the engine has stopped.
bool Generation::submit(Seat* seat, int prompt_index, int choice_of_prompt) {
  const SlotIndex slot = seat->place.slot();
  Channel& channel = service_->context.gateway->channel(slot);
  channel.spec = specs_[static_cast<size_t>(prompt_index)].get();
  channel.choice_index = choice_of_prompt;
  channel.io_index = reply_.exchange().io_index();
  channel.io_tag = seat;
  channel.ring = nullptr;
  channel.started_us = 0;
  channel.prompt_tokens_done = 0;
  channel.cached_tokens = 0;
  channel.wait.begin();
  const auto scored = static_cast<int32_t>(channel.spec->params.scored.size());
  service_->roster.enter(slot, {.request_id = reply_.request_id(),
                                .tenant = channel.spec->tenant,
                                .class_index = channel.spec->class_index,
                                .choice = seat->index,
                                .prompt_tokens = static_cast<int32_t>(channel.spec->prompt.size()) + scored,
                                .max_tokens = channel.spec->params.max_tokens - scored,
                                .arrival_us = arrival_us_});
  service_->by_slot[static_cast<size_t>(slot)] = shared_from_this();
  return service_->context.gateway->submit(slot);
}

}  // namespace weir::api
