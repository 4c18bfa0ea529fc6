// Service: what all requests of the room share. Not part of the public API.
//
// Owner: Api. Immutable but for members that say which thread may touch them.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "api/api.h"
#include "api/auth.h"
#include "api/live_requests.h"
#include "api/metrics.h"
#include "api/metrics_page.h"
#include "api/metrics_text.h"
#include "api/params.h"
#include "api/request_id.h"
#include "api/roster.h"
#include "api/text_pool.h"
#include "api/text_quota.h"
#include "api/text_work.h"

namespace weir::api {

class Generation;

class Service {
 public:
  explicit Service(ApiContext ctx)
      : context(with_ledger(std::move(ctx))),
        admin_auth(context.admin_key),
        roster(context.gateway->slots()),
        live_requests(static_cast<size_t>(context.gateway->io_threads())),
        by_slot(static_cast<size_t>(context.gateway->slots())),
        text_quota(static_cast<int>(TextPool::kQueuedPerThread) * std::max(1, context.text_threads)),
        metrics_page([this](size_t expected_bytes) {
          metrics.texts_made.fetch_add(1, std::memory_order_relaxed);
          return metrics_text(context, metrics, expected_bytes);
        }),
        text_pool("text", context.text_threads, static_cast<size_t>(context.gateway->slots()), &metrics.dropped,
                  {.light = text_bytes(std::min<uint64_t>(kInlineBodyBytes, context.body_bytes_max)),
                   .heavy = context.body_bytes_max > kInlineBodyBytes ? text_bytes(context.body_bytes_max) : 0}),
        admin_pool("admin", 1, 0, &metrics.dropped) {}

  Micros now_us() const { return context.clock->now_us(); }
  int64_t unix_ms() const;  // the wall clock
  ParamLimits limits() const {
    return {.vocab_size = context.vocab_size, .running_max = context.door->running_max_ever()};
  }

  // What the job that turns such a body into tokens may take.
  uint64_t text_bytes(uint64_t body_bytes) const {
    const uint64_t longest = static_cast<uint64_t>(context.session_tokens) * context.token_bytes_max;
    return text_job_bytes(body_bytes, longest > 0 ? longest : body_bytes);
  }

  Ledger& ledger() { return *context.ledger; }

  const ApiContext context;
  const Auth admin_auth;  // asked only where there is an admin key
  RequestIds ids;                // any thread
  ApiMetrics metrics;            // any thread
  Roster roster;                 // any thread
  std::atomic<int> live{0};      // Generations; any thread
  std::vector<LiveRequests> live_requests;  // one per io thread, which alone touches it
  // Keeps a Generation alive while it holds that slot. An entry is touched only by the io thread that holds the
  // slot's Place; the FrontDoor's mutex orders one holder after the other.
  std::vector<std::shared_ptr<Generation>> by_slot;
  TextQuota text_quota;          // any thread
  mutable MetricsPage metrics_page;  // any thread
  TextPool text_pool;            // last, so that their threads end before anything they use
  TextPool admin_pool;           // one thread: a change of the limits waits for the engine

 private:
  static ApiContext with_ledger(ApiContext ctx) {
    if (!ctx.ledger) ctx.ledger = std::make_shared<Ledger>(LedgerOptions{});
    return ctx;
  }
};

}  // namespace weir::api
