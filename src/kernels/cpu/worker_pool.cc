#include "kernels/cpu/worker_pool.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>

#include "base/alloc_guard.h"
#include "base/check.h"

namespace weir::cpu {
namespace {

constexpr auto kSpin = std::chrono::microseconds(30);
constexpr uint64_t kUsedUp = 0xffffffffu;  // as an index: beyond every count

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Spins until ready() or kSpin has passed. RETURNS: ready().
template <class Ready>
bool spin_until(Ready ready) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {  // the clock costs as much as several looks
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

}  // namespace

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) {  // more CPUs than cpu_set_t holds: count them, pin none
    const unsigned count = std::thread::hardware_concurrency();
    for (unsigned cpu = 0; cpu < (count == 0 ? 1 : count); ++cpu) cpus.push_back(static_cast<int>(cpu));
  }
  return cpus;
}

void pin_calling_thread_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

WorkerPool::WorkerPool(const Options& options) {
  WEIR_CHECK(options.threads >= 1 && options.threads <= 1024);
  const std::vector<int> cpus = allowed_cpus();
  pin_ = options.pin && static_cast<size_t>(options.threads) <= cpus.size();
  caller_cpu_ = cpus[0];
  workers_.reserve(static_cast<size_t>(options.threads) - 1);
  for (int i = 1; i < options.threads; ++i) {
    const int cpu = pin_ ? cpus[static_cast<size_t>(i)] : -1;
    workers_.emplace_back([this, cpu] { worker_loop(cpu); });
  }
}

WorkerPool::~WorkerPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void WorkerPool::bind_calling_thread() {
  if (pin_) pin_calling_thread_to(caller_cpu_);
}

void WorkerPool::run(const Job& job) {
  const uint32_t generation = epoch_.load(std::memory_order_relaxed) + 1;
  // The old ticket goes first. A worker that is late with the job before may hold a ticket equal to the old count; if
  // it then read a larger new count, its claim would succeed. A field it reads from this job (release, acquire) makes
  // it see this store, and its claim fails.
  ticket_.store(uint64_t{generation} << 32 | kUsedUp, std::memory_order_relaxed);
  call_.store(job.call, std::memory_order_release);
  context_.store(job.context, std::memory_order_release);
  count_.store(job.count, std::memory_order_release);
  chunk_.store(job.chunk, std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(uint64_t{generation} << 32, std::memory_order_release);
  epoch_.store(generation);  // seq_cst, like the sleepers' side: one of the two sees the other
  if (sleepers_.load() != 0) epoch_.notify_all();

  work(generation);
  const uint32_t all = static_cast<uint32_t>(job.count);
  if (spin_until([&] { return done_.load(std::memory_order_acquire) == all; })) return;
  caller_sleeps_.store(1);
  for (uint32_t done = done_.load(); done != all; done = done_.load()) done_.wait(done);
  caller_sleeps_.store(0);
}

// Claims and runs chunks of one generation until none is left.
void WorkerPool::work(uint32_t generation) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const int64_t count = count_.load(std::memory_order_acquire);
    const int64_t chunk = chunk_.load(std::memory_order_acquire);
    const auto call = call_.load(std::memory_order_acquire);
    const void* context = context_.load(std::memory_order_acquire);
    const int64_t begin = static_cast<int64_t>(ticket & 0xffffffffu);
    if (static_cast<uint32_t>(ticket >> 32) != generation || begin >= count) return;
    const int64_t end = begin + chunk < count ? begin + chunk : count;
    const uint64_t claimed = uint64_t{generation} << 32 | static_cast<uint64_t>(end);
    if (!ticket_.compare_exchange_weak(ticket, claimed, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    call(context, begin, end);
    const uint32_t length = static_cast<uint32_t>(end - begin);
    const uint32_t done = done_.fetch_add(length) + length;
    if (done == static_cast<uint32_t>(count) && caller_sleeps_.load() != 0) done_.notify_all();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

uint32_t WorkerPool::wait_for_job(uint32_t seen) {
  if (spin_until([&] { return epoch_.load(std::memory_order_acquire) != seen; })) return epoch_.load();
  sleepers_.fetch_add(1);
  epoch_.wait(seen);
  sleepers_.fetch_sub(1);
  return epoch_.load();
}

void WorkerPool::worker_loop(int cpu) {
  if (cpu >= 0) pin_calling_thread_to(cpu);
  seal_this_thread("worker");
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_job(seen);
    if (stop_.load(std::memory_order_acquire)) return;
    work(seen);
  }
}

}  // namespace weir::cpu
