// HostWatch: what the process has resident beside what plan and ledger explain, for /metrics and for the log.
//
// Owner: App. Threads: now() any; observe() one at a time, every few seconds. Reads /proc on every call, so neither is
// for a hot path. It decides nothing: a suspected leak is one log line with figures per episode.
#pragma once

#include <atomic>
#include <memory>

#include "api/api.h"
#include "base/clock.h"
#include "memory/ledger/leak_watch.h"
#include "memory/ledger/ledger.h"
#include "memory/plan/plan.h"

namespace weir {

class HostWatch {
 public:
  HostWatch(const MemoryPlan& plan, std::shared_ptr<const Ledger> ledger);

  MemoryNow now(uint64_t huge_page_bytes = 0) const;  // as it was found after start
  // After a live change of the pool. Any thread.
  void set_plan(const MemoryPlan& plan);
  void observe(Micros now_us);

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> plan_bytes_, resident_bytes_;
  const std::shared_ptr<const Ledger> ledger_;
  LeakWatch leaks_;
};

}  // namespace weir
