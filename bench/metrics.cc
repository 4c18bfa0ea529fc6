// bench_metrics: what GET /metrics costs an io thread with 1,024 tenants, and for how long it holds a lock that
// requests take.
//
//   bench_metrics [TENANTS]      default 1024, all that there can be
//
// Floor: a line of the text is copied at memory speed; a lock that nobody else wants takes about 20 ns. Each figure
// is a quantile over single calls, so a stall of the machine shows in the p99 and not in the median. "made" is the
// text made anew; "copied" is what a scrape gets while the last text is fresh enough. The door's lock is held for
// one piece of the tenants' buckets at a time; nothing else of a scrape takes a lock of the door for longer than a
// look at a few numbers.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "admission/front_door.h"
#include "admission/tenants.h"
#include "api/metrics_page.h"
#include "api/metrics_text.h"

namespace weir {
namespace {

using SteadyTime = std::chrono::steady_clock;
constexpr int kRounds = 400;

void print(const char* what, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&us](double q) { return us[static_cast<size_t>(q * static_cast<double>(us.size() - 1))]; };
  std::printf("%-62s %9.2f %9.2f %9.2f\n", what, at(0.5), at(0.99), us.back());
}

template <class Call>
std::vector<double> timed(int rounds, Call call) {
  std::vector<double> us;
  us.reserve(static_cast<size_t>(rounds));
  for (int i = 0; i < rounds; ++i) {
    const auto begin = SteadyTime::now();
    call();
    us.push_back(std::chrono::duration<double, std::micro>(SteadyTime::now() - begin).count());
  }
  return us;
}

std::vector<TenantPolicy> policies(int count) {
  std::vector<TenantPolicy> all;
  for (int i = 0; i < count; ++i) {
    TenantPolicy policy{
        .name = "tenant-" + std::to_string(i), .keys = {sha256("key-" + std::to_string(i))}, .class_index = 1};
    policy.limits = {.concurrent = 4, .queued = 16, .tokens_per_minute = 100'000 + i};
    all.push_back(std::move(policy));
  }
  return all;
}

// The owners of every figure that the text has, without an engine behind them.
struct Owners {
  explicit Owners(int count)
      : gateway(288, 32, 1, 8),
        door({.running_max = 32,
              .queued_max = 256,
              .queued_tokens_max = 65'536,
              .session_tokens = 4'096,
              .pool_tokens = 1 << 20},
             &gateway),
        tenants(&door, &gateway.tenants(), 1) {
    if (!tenants.replace(policies(count - 1), true, clock.now_us()).ok()) std::exit(1);
    for (int32_t tenant = 0; tenant < count; ++tenant) {
      for (const Refusal reason : {Refusal::kQueueFull, Refusal::kTenantTokens, Refusal::kBadRequest}) {
        door.count_refusal(reason, tenant);
      }
    }
    context.door = &door;
    context.gateway = &gateway;
    context.ledger = std::make_shared<Ledger>(LedgerOptions{.groups = kTenantsMax});
    context.clock = &clock;
    context.model_name = "bench";
    context.tenants = &tenants;
    context.memory_now = [] { return MemoryNow{}; };
    context.pressure_now = [] { return PressureNow{}; };
    context.cpu_now = [] { return CpuNow{}; };
    context.overload_now = [] { return OverloadNow{}; };
  }
  SteadyClock clock;
  Gateway gateway;
  FrontDoor door;
  Tenants tenants;
  ApiContext context;
  api::ApiMetrics metrics;
};

void run(int count) {
  Owners owners(count);
  size_t bytes = 0;
  const auto make = [&](size_t expected) { return api::metrics_text(owners.context, owners.metrics, expected); };
  print("text made", timed(kRounds, [&] { bytes = make(bytes + 4096).size(); }));
  api::MetricsPage page(make);
  page.text(1);
  print("text copied while it is fresh", timed(kRounds, [&] { bytes = page.text(1).size(); }));
  const size_t bytes_of_text = bytes;
  std::vector<std::optional<int64_t>> levels(FrontDoor::kLevelsPerLock);
  const Micros now_us = owners.clock.now_us();
  print("door's lock held for one piece of the buckets, at most", timed(kRounds * 10, [&] {
          owners.door.bucket_levels({0, now_us},
                                    {levels.data(), std::min(levels.size(), static_cast<size_t>(count))});
        }));
  print("names of all tenants", timed(kRounds * 10, [&] { bytes += owners.tenants.names()->size(); }));
  std::printf("%-62s %9zu bytes\n", "text", bytes_of_text);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const int tenants = argc > 1 ? std::atoi(argv[1]) : weir::kTenantsMax;
  if (tenants < 1 || tenants > weir::kTenantsMax) {
    std::fprintf(stderr, "bench_metrics [TENANTS]: 1 to %d\n", weir::kTenantsMax);
    return 2;
  }
  std::printf("%-62s %9s %9s %9s\n", "us", "median", "p99", "max");
  weir::run(tenants);
  return 0;
}
