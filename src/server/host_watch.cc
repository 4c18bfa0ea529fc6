#include "server/host_watch.h"

#include <algorithm>

#include "base/log.h"

namespace weir {

HostWatch::HostWatch(const MemoryPlan& plan, std::shared_ptr<const Ledger> ledger)
    : limit_bytes_(plan.limit_bytes),
      plan_bytes_(plan.total_bytes),
      resident_bytes_(resident_bytes(plan)),
      ledger_(std::move(ledger)),
      leaks_({.plan_bytes = plan.total_bytes}) {}

void HostWatch::set_plan(const MemoryPlan& plan) {
  plan_bytes_.store(plan.total_bytes, std::memory_order_relaxed);
  resident_bytes_.store(resident_bytes(plan), std::memory_order_relaxed);
}

MemoryNow HostWatch::now(Micros now_us) const {
  const Micros seen_us = seen_us_.load(std::memory_order_relaxed);
  return {.rss_bytes = rss_bytes_,
          .peak_bytes = rss_peak_bytes_,
          .limit_bytes = limit_bytes_,
          .plan_bytes = plan_bytes_,
          .unaccounted_bytes = unaccounted_bytes_,
          .huge_page_bytes = huge_page_bytes_,
          .age_us = seen_us == 0 ? 0 : std::max<Micros>(now_us - seen_us, 0)};
}

void HostWatch::observe(Micros now_us, const HostFacts& facts) {
  const auto unaccounted = unaccounted_bytes(facts, resident_bytes_, ledger_->used_bytes());
  rss_bytes_.store(facts.rss_bytes.value_or(0), std::memory_order_relaxed);
  rss_peak_bytes_.store(facts.rss_peak_bytes.value_or(0), std::memory_order_relaxed);
  unaccounted_bytes_.store(unaccounted.value_or(0), std::memory_order_relaxed);
  seen_us_.store(now_us, std::memory_order_relaxed);
  if (!unaccounted) return;
  if (const auto leak = leaks_.observe(now_us, *unaccounted)) log_warning("memory", leak->text());
}

}  // namespace weir
