// HostWatch: what the process has resident beside what plan and ledger explain, for /metrics and for the log.
//
// Owner: App. Threads: now() any; observe() one at a time, on the monitor's turns with the facts that the monitor
// has read. now() reads no file: it tells the last facts and how old they are. It decides nothing: a suspected leak
// is one log line with figures per episode.
#pragma once

#include <atomic>
#include <memory>

#include "api/api.h"
#include "base/clock.h"
#include "memory/ledger/leak_watch.h"
#include "memory/ledger/ledger.h"
#include "memory/monitor/host_facts.h"
#include "memory/plan/plan.h"

namespace weir {

class HostWatch {
 public:
  HostWatch(const MemoryPlan& plan, std::shared_ptr<const Ledger> ledger);

  MemoryNow now(Micros now_us) const;
  void set_huge_page_bytes(uint64_t bytes) {
    huge_page_bytes_.store(bytes, std::memory_order_relaxed);
  }  // found after start
  // After a live change of the pool. Any thread.
  void set_plan(const MemoryPlan& plan);
  void observe(Micros now_us, const HostFacts& facts);

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> plan_bytes_, resident_bytes_;
  std::atomic<uint64_t> huge_page_bytes_{0};
  // Of the last turn of the monitor; 0 where its files did not tell. A reader may see numbers of two turns.
  std::atomic<uint64_t> rss_bytes_{0}, rss_peak_bytes_{0};
  std::atomic<int64_t> unaccounted_bytes_{0};
  std::atomic<Micros> seen_us_{0};  // 0: not yet
  const std::shared_ptr<const Ledger> ledger_;
  LeakWatch leaks_;
};

}  // namespace weir
