#include "load/run.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/thread.h"
#include "load/worker.h"

namespace weir::load {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(50);
constexpr rlim_t kSpareDescriptors = 64;  // loops, standard streams, report files

LiveTotals totals_of(const std::vector<std::unique_ptr<Worker>>& workers, Micros at_us) {
  LiveTotals totals{.at_us = at_us};
  for (const auto& worker : workers) {
    const Live& live = worker->live();
    const auto read = [](const std::atomic<uint64_t>& count) { return count.load(std::memory_order_relaxed); };
    totals.sent += read(live.sent);
    totals.in_flight += read(live.in_flight);
    totals.completed += read(live.completed);
    totals.refused += read(live.refused);
    totals.failed += read(live.failed);
    totals.aborted += read(live.aborted);
    totals.tokens += read(live.tokens);
    totals.first_tokens += read(live.first_tokens);
    totals.first_token_us += read(live.first_token_us);
  }
  return totals;
}

}  // namespace

Result<RunResult> run_load(const RunOptions& options, const Workload& workload, const SocketAddress& target,
                           const std::function<bool(const LiveTotals&)>& look) {
  const SteadyClock clock;
  RunShared shared{.options = options, .workload = workload, .target = target};
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < options.threads; ++i) {
    workers.push_back(std::make_unique<Worker>(&shared, i));
    WEIR_RETURN_IF_ERROR(workers.back()->open());
  }
  shared.start_us = clock.now_us();
  std::mutex mutex;
  std::condition_variable ended;
  size_t running = workers.size();  // guarded by mutex
  std::vector<std::thread> threads;
  threads.reserve(workers.size());
  for (const auto& worker : workers) {
    Result<std::thread> thread = start_thread("load", [&, worker = worker.get()] {
      worker->run();
      const std::lock_guard lock(mutex);
      --running;
      ended.notify_one();
    });
    if (!thread.ok()) {
      shared.stop.store(true);
      for (std::thread& started : threads) started.join();
      return thread.status();
    }
    threads.push_back(std::move(thread).value());
  }
  RunResult result{.meter = Meter(workload.tenants().size(), options.targets)};
  for (;;) {
    {
      std::unique_lock lock(mutex);
      if (ended.wait_for(lock, kLookEvery, [&] { return running == 0; })) break;
    }
    if (look(totals_of(workers, clock.now_us() - shared.start_us)) || result.stopped) continue;
    shared.stop.store(true);
    result.stopped = true;
  }
  for (std::thread& thread : threads) thread.join();
  result.wall_us = clock.now_us() - shared.start_us;
  for (const auto& worker : workers) {
    result.meter.merge(worker->meter());
    result.cpu_seconds += worker->cpu_seconds();
  }
  return result;
}

Result<size_t> raise_descriptor_limit(size_t needed) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return failed_precondition("the limit of open files cannot be read");
  if (limit.rlim_max < needed + kSpareDescriptors) {
    return failed_precondition(std::to_string(needed) + " connections need " +
                               std::to_string(needed + kSpareDescriptors) + " open files and the hard limit is " +
                               std::to_string(limit.rlim_max) +
                               "; raise it (ulimit -Hn, LimitNOFILE=) or use fewer connections");
  }
  constexpr rlim_t kPlenty = 1 << 20;  // a limit may be infinite
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, std::max<rlim_t>(kPlenty, needed + kSpareDescriptors));
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return failed_precondition("the limit of open files cannot be raised to " + std::to_string(wanted));
    }
  }
  return static_cast<size_t>(std::min<rlim_t>(limit.rlim_cur, kPlenty) - kSpareDescriptors);
}

}  // namespace weir::load
