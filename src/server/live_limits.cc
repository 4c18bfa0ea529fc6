#include "server/live_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "base/log.h"

namespace weir {
namespace {

// A step of a large model, and the touching of many pages between steps, take their time.
constexpr Micros kAnswerWithinUs = 120'000'000;

Status over_ceiling(const char* name, int64_t asked, int64_t ceiling, const char* flag) {
  return invalid_argument(fmt::format("{} {} is above the {} that this server was planned for; start it with a larger {}", name,
                                      asked, ceiling, flag));
}

}  // namespace

LiveLimitsControl::LiveLimitsControl(const Blueprint* blueprint, Gateway* gateway, FrontDoor* door, const BlockPool* pool,
                                     const Clock* clock)
    : blueprint_(blueprint),
      gateway_(gateway),
      door_(door),
      pool_(pool),
      clock_(clock),
      plan_(blueprint->plan),
      cache_(blueprint->settings.cache_max_entry_count) {}

LiveLimits LiveLimitsControl::now() const {
  const FrontDoorOptions options = door_->options();
  std::lock_guard lock(mutex_);
  return {.cache_max_entry_count = cache_,
          .kv_blocks = pool_->total_blocks(),
          .kv_blocks_ceiling = pool_->options().blocks_max,
          .max_concurrent_requests = options.running_max,
          .max_concurrent_requests_ceiling = blueprint_->running_max,
          .max_queued_requests = options.queued_max,
          .max_queued_requests_ceiling = blueprint_->queued_max,
          .max_queued_tokens = options.queued_tokens_max,
          .max_queued_tokens_ceiling = static_cast<int64_t>(blueprint_->ledger_options().total_bytes_max / sizeof(int32_t))};
}

MemoryPlan LiveLimitsControl::plan() const {
  std::lock_guard lock(mutex_);
  return plan_;
}

Status LiveLimitsControl::check(const LimitsPatch& patch, FrontDoorOptions* options) const {
  const LiveLimits now = this->now();
  if (patch.max_concurrent_requests) {
    if (*patch.max_concurrent_requests > now.max_concurrent_requests_ceiling) {
      return over_ceiling("max_concurrent_requests", *patch.max_concurrent_requests, now.max_concurrent_requests_ceiling,
                          "--max-batch-size");
    }
    options->running_max = static_cast<int>(*patch.max_concurrent_requests);
  }
  if (patch.max_queued_requests) {
    if (*patch.max_queued_requests > now.max_queued_requests_ceiling) {
      return over_ceiling("max_queued_requests", *patch.max_queued_requests, now.max_queued_requests_ceiling,
                          "--max-queued-requests");
    }
    options->queued_max = static_cast<int>(*patch.max_queued_requests);
  }
  if (patch.max_queued_tokens) {
    if (*patch.max_queued_tokens > now.max_queued_tokens_ceiling) {
      return over_ceiling("max_queued_tokens", *patch.max_queued_tokens, now.max_queued_tokens_ceiling, "--host-request-bytes");
    }
    options->queued_tokens_max = *patch.max_queued_tokens;
  }
  return ok_status();
}

// What would be in force. plan: null where the pool stays.
LiveLimits LiveLimitsControl::with(const LimitsPatch& patch, const FrontDoorOptions& options,
                                   const MemoryPlan* plan) const {
  LiveLimits limits = now();
  limits.max_concurrent_requests = options.running_max;
  limits.max_queued_requests = options.queued_max;
  limits.max_queued_tokens = options.queued_tokens_max;
  if (plan == nullptr) return limits;
  limits.cache_max_entry_count = *patch.cache_max_entry_count;
  limits.kv_blocks = static_cast<int64_t>(plan->kv_blocks);
  return limits;
}

Status LiveLimitsControl::change_pool(MemoryPlan plan, const std::string& cache) {
  // While it changes, nothing is let in that the smaller of both pools could not hold.
  const FrontDoorOptions before = door_->options();
  FrontDoorOptions smaller = before;
  smaller.pool_tokens = std::min(smaller.pool_tokens, plan.kv_tokens);
  door_->set_options(smaller);
  if (Status status = resize(plan); !status.ok()) {
    door_->set_options(before);
    return status;
  }
  if (on_plan_) on_plan_(plan);
  std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
  cache_ = cache;
  return ok_status();
}

// Everything is checked before anything is done; the pool, which alone can still be refused, comes first.
Result<LiveLimits> LiveLimitsControl::apply(const LimitsPatch& patch) {
  std::lock_guard changing(changing_);
  if (patch.empty()) return now();
  FrontDoorOptions options = door_->options();
  WEIR_RETURN_IF_ERROR(check(patch, &options));
  std::optional<MemoryPlan> plan;
  if (patch.cache_max_entry_count) {
    auto drawn = blueprint_->with_cache(*patch.cache_max_entry_count);
    if (!drawn.ok()) return invalid_argument("cache_max_entry_count: " + drawn.status().message());
    options.pool_tokens = drawn->kv_tokens;
    plan = std::move(*drawn);
  }
  if (patch.dry_run) return with(patch, options, plan ? &*plan : nullptr);
  if (plan) WEIR_RETURN_IF_ERROR(change_pool(std::move(*plan), *patch.cache_max_entry_count));
  door_->set_options(options);
  gateway_->controls().running_limit.store(options.running_max, std::memory_order_relaxed);
  gateway_->poke();
  const LiveLimits changed = now();
  log_info("server", fmt::format("limits changed: {} KV blocks ({}), {} concurrent, {} queued, {} queued tokens", changed.kv_blocks,
                                 changed.cache_max_entry_count, changed.max_concurrent_requests, changed.max_queued_requests,
                                 changed.max_queued_tokens));
  return changed;
}

Status LiveLimitsControl::resize(const MemoryPlan& plan) {
  const uint64_t before = this->plan().kv_blocks;  // the pool itself may be squeezed just now
  Controls& controls = gateway_->controls();
  const uint32_t number = controls.order_pool(static_cast<uint32_t>(plan.kv_blocks));
  gateway_->poke();
  const Micros end = clock_->now_us() + kAnswerWithinUs;
  PoolAnswer answer = PoolAnswer::kPending;
  while (answer == PoolAnswer::kPending && clock_->now_us() < end && !stopping_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    answer = controls.pool_answer(number);
  }
  switch (answer) {
    case PoolAnswer::kDone: return ok_status();
    case PoolAnswer::kGuaranteed:
      return invalid_argument(fmt::format("{} blocks are fewer than running requests have been guaranteed; try again when they "
                                          "have ended", plan.kv_blocks));
    case PoolAnswer::kNoMemory:
    case PoolAnswer::kPending: break;
  }
  controls.order_pool(static_cast<uint32_t>(before));  // back to what it was
  gateway_->poke();
  if (answer == PoolAnswer::kNoMemory) {
    return {Code::kResourceExhausted, fmt::format("the machine does not have the memory for {} blocks now; the pool is as before",
                                                  plan.kv_blocks)};
  }
  return {Code::kUnavailable, "the engine did not answer in time; the pool goes back to what it was", "not_ready"};
}

}  // namespace weir
