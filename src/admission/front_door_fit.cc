// FrontDoor: could a request ever fit, and does it fit under the limits of now?
//
// A request above the limits that the server was started with, or was raised to since, is wrong: a 400. A request
// that is only above a limit that an operator has lowered comes too early: a 429.
#include <algorithm>

#include <fmt/format.h>

#include "admission/front_door.h"

namespace weir {
namespace {

Status refuse(Code code, Refusal refusal, std::string message) {
  return {code, std::move(message), refusal_name(refusal)};
}

}  // namespace

FrontDoorOptions FrontDoor::ever() const {
  FrontDoorOptions limits = options_;
  limits.running_max = std::max(options_.running_max, started_.running_max);
  limits.queued_tokens_max = std::max(options_.queued_tokens_max, started_.queued_tokens_max);
  limits.pool_tokens = std::max(options_.pool_tokens, started_.pool_tokens);
  return limits;
}

int FrontDoor::running_max_ever() const {
  std::lock_guard lock(mutex_);
  return ever().running_max;
}

// ERRORS: why the request never fits under these limits, as a 400 would say it.
Status FrontDoor::fits_under(const FrontDoorOptions& limits, const Demand& demand) const {
  int64_t total = 0;
  for (const int64_t tokens : demand.prompt_tokens) {
    total += tokens * demand.n;
    if (tokens + 1 > limits.session_tokens) {
      return refuse(
          Code::kInvalidArgument, Refusal::kPromptTooLong,
          fmt::format("the prompt has {} tokens and the context length is {} (one is needed for the answer); "
                      "shorten the prompt or start the server with a larger --session-len",
                      tokens, limits.session_tokens));
    }
    if (tokens + 1 > limits.pool_tokens) {
      return refuse(
          Code::kInvalidArgument, Refusal::kPromptOverPool,
          fmt::format("the prompt has {} tokens and the KV pool holds {} in all; shorten the prompt or start "
                      "the server with a larger --cache-max-entry-count",
                      tokens, limits.pool_tokens));
    }
  }
  const int64_t share_milli =
      gateway_->tenants().knobs[static_cast<size_t>(demand.visitor.tenant)].kv_share_milli.load(
          std::memory_order_relaxed);
  const int64_t share_tokens = limits.pool_tokens * share_milli / 1000;
  const auto longest = std::max_element(demand.prompt_tokens.begin(), demand.prompt_tokens.end());
  const int64_t held = std::max(longest == demand.prompt_tokens.end() ? 0 : *longest + 1, demand.guaranteed_tokens);
  if (share_milli < 1000 && held > share_tokens) {
    return refuse(
        Code::kInvalidArgument, Refusal::kPromptOverPool,
        fmt::format("the request needs {} tokens of KV cache and this key's tenant may hold {} (its kv_share); "
                    "shorten it or raise the share",
                    held, share_tokens));
  }
  if (demand.guaranteed_tokens > limits.pool_tokens) {
    return refuse(
        Code::kInvalidArgument, Refusal::kGuaranteeOverPool,
        fmt::format("prompt and max_tokens are {} tokens and the KV pool holds {} in all; lower max_tokens or "
                    "start the server with a larger --cache-max-entry-count",
                    demand.guaranteed_tokens, limits.pool_tokens));
  }
  if (demand.sequences() > limits.running_max) {
    return refuse(Code::kInvalidArgument, Refusal::kTooManySequences,
                  fmt::format("the request asks for {} sequences (n times prompts) and at most {} run at once "
                              "(--max-concurrent-requests); send it in parts",
                              demand.sequences(), limits.running_max));
  }
  if (const int64_t most = tenants_.sequences_max(demand.visitor.tenant, limits.running_max);
      demand.sequences() > most) {
    return refuse(
        Code::kInvalidArgument, Refusal::kTooManySequences,
        fmt::format("the request asks for {} sequences (n times prompts) and this key's tenant may have {} "
                    "running and waiting; send it in parts",
                    demand.sequences(), most));
  }
  if (limits.queued_max > 0 && total > limits.queued_tokens_max) {
    return refuse(
        Code::kInvalidArgument, Refusal::kOverQueueTokens,
        fmt::format("the request has {} prompt tokens in all and at most {} may wait (--max-queued-tokens); "
                    "send it in parts",
                    total, limits.queued_tokens_max));
  }
  return ok_status();
}

Status FrontDoor::could_ever_fit(const Demand& demand) const { return fits_under(ever(), demand); }

Status FrontDoor::fits_now(const Demand& demand) const {
  const FrontDoorOptions most = ever();
  const bool lowered = options_.running_max < most.running_max ||
                       options_.queued_tokens_max < most.queued_tokens_max ||
                       options_.pool_tokens < most.pool_tokens;
  if (!lowered) return ok_status();  // the same question was asked just before
  const Status now = fits_under(options_, demand);
  if (now.ok()) return now;
  return refuse(Code::kResourceExhausted, Refusal::kLimitLowered,
                "a limit of the server is lower than usual for now; try again later, or: " + now.message());
}

}  // namespace weir
