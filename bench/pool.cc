// Worker pool benchmark: what one parallel_for costs its caller, wall time in nanoseconds. "empty" bodies show the
// cost of handing work out and waiting for it; bodies that compute for 2 us, one per thread and then four per
// thread, show how much of the ideal time is lost. With a pause between two calls the workers sleep, and the
// difference is the wake-up. Floor: two transfers of a cache line between cores, about 100 ns each. Each call is
// timed by itself (reading the clock twice is in it, about 40 ns): the 10th percentile is what the pool costs while
// nobody disturbs, the median what it costs on this machine as it is now.
//
//   bench_pool [--threads=N] [--calls=N]

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "kernels/cpu/worker_pool.h"

namespace weir {
namespace {

double now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// A chain of dependent multiplications, so that it takes the same time on every core.
__attribute__((noinline, noclone)) uint64_t compute(int64_t steps) {
  uint64_t x = 88172645463325252u;
  for (int64_t i = 0; i < steps; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

std::atomic<uint64_t> g_sink{0};

double quantile(std::vector<double>& values, double q) {
  const auto at = values.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// The fewest steps of compute() that take ns.
int64_t steps_for(double ns) {
  std::vector<double> each;
  for (int round = 0; round < 21; ++round) {
    const double start = now_ns();
    g_sink.fetch_add(compute(20'000), std::memory_order_relaxed);
    each.push_back((now_ns() - start) / 20'000);
  }
  return static_cast<int64_t>(ns / quantile(each, 0.1));
}

std::vector<double> call_ns(cpu::WorkerPool& pool, int64_t chunks, int64_t steps, int64_t pause_us, int calls) {
  std::vector<double> each;
  for (int call = 0; call < calls; ++call) {
    if (pause_us > 0) {
      timespec pause{0, pause_us * 1000};
      nanosleep(&pause, nullptr);
    }
    const double start = now_ns();
    pool.parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end && steps > 0; ++i)
        g_sink.fetch_add(compute(steps), std::memory_order_relaxed);
    });
    each.push_back(now_ns() - start);
  }
  return each;
}

}  // namespace

int run(int argc, char** argv) {
  int threads = 2, calls = 20'000;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--threads=", 10) == 0) threads = std::stoi(argv[i] + 10);
    if (std::strncmp(argv[i], "--calls=", 8) == 0) calls = std::stoi(argv[i] + 8);
  }
  const std::unique_ptr<cpu::WorkerPool> made = cpu::WorkerPool::create({.threads = threads, .pin = true}).value();
  cpu::WorkerPool& pool = *made;
  pool.bind_calling_thread();
  const int64_t two_us = steps_for(2000);
  fmt::print("{} threads, nanoseconds a call, 10th percentile and median of {}\n", threads, calls);
  const auto row = [&](const char* name, int64_t chunks, int64_t steps, int64_t pause_us, double ideal_ns) {
    std::vector<double> ns = call_ns(pool, chunks, steps, pause_us, pause_us > 0 ? std::max(1, calls / 100) : calls);
    const double low = quantile(ns, 0.1), middle = quantile(ns, 0.5);
    fmt::print("{:<46} {:>8.0f} {:>8.0f}   ideal {:>6.0f}\n", name, low, middle, ideal_ns);
  };
  row("empty, one chunk a thread", threads, 0, 0, 0);
  row("empty, four chunks a thread", threads * 4, 0, 0, 0);
  row("2 us, one chunk a thread", threads, two_us, 0, 2000);
  row("2 us, four chunks a thread", threads * 4, two_us, 0, 8000);
  row("2 us, one chunk more than two a thread", threads * 2 + 1, two_us, 0, 6000);
  row("2 us, one chunk a thread, after 1 ms of quiet", threads, two_us, 1000, 2000);
  return 0;
}

}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
