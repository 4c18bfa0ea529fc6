#include "server/host_watch.h"

#include "base/log.h"
#include "memory/monitor/host_facts.h"

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

MemoryNow HostWatch::now(uint64_t huge_page_bytes) const {
  const HostFacts facts = read_host_facts();
  return {.rss_bytes = facts.rss_bytes.value_or(0),
          .peak_bytes = facts.rss_peak_bytes.value_or(0),
          .limit_bytes = limit_bytes_,
          .plan_bytes = plan_bytes_,
          .unaccounted_bytes = unaccounted_bytes(facts, resident_bytes_, ledger_->used_bytes()).value_or(0),
          .huge_page_bytes = huge_page_bytes};
}

void HostWatch::observe(Micros now_us) {
  const auto bytes = unaccounted_bytes(read_host_facts(), resident_bytes_, ledger_->used_bytes());
  if (!bytes) return;
  if (const auto leak = leaks_.observe(now_us, *bytes)) log_warning("memory", leak->text());
}

}  // namespace weir
