#include "kernels/cpu/worker_pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/alloc_guard.h"
#include "base/check.h"

namespace weir::cpu {
namespace {

using std::chrono::microseconds;
constexpr auto kIdleSpin = microseconds(100);  // twice the engine's own work between two steps
constexpr auto kStepSpin = microseconds(2000);  // longer than any op that one thread does alone
constexpr auto kCallerSpin = microseconds(200);
constexpr auto kCrowdedSpin = microseconds(5);  // more threads than CPUs

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Spins until ready(), or until longest() has passed. RETURNS: ready().
template <class Ready, class Longest>
bool spin_until(Ready ready, Longest longest) {
  const auto begin = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 64; ++i) {  // the clock costs as much as several looks
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - begin < longest());
  return ready();
}

constexpr bool has_chunks(uint64_t word) { return (word >> 32) < (word & 0xffffffffu); }

int own_thread_id() { return static_cast<int>(syscall(SYS_gettid)); }

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

WorkerPool::WorkerPool(const Options& options)
    : threads_(options.threads), shares_(std::make_unique<Share[]>(static_cast<size_t>(std::max(1, options.threads)))) {
  WEIR_CHECK(options.threads >= 1 && options.threads <= 1024);
  const std::vector<int> cpus = options.cpus.empty() ? allowed_cpus() : options.cpus;
  spin_ = static_cast<size_t>(threads_) <= cpus.size();
  pin_ = options.pin && spin_;
  caller_cpu_ = cpus[0];
  workers_.reserve(static_cast<size_t>(threads_) - 1);
  for (int i = 1; i < threads_; ++i) {
    const int cpu = pin_ ? cpus[static_cast<size_t>(i)] : -1;
    workers_.emplace_back([this, i, cpu] { worker_loop(i, cpu); });
  }
}

WorkerPool::~WorkerPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void WorkerPool::bind_calling_thread() {
  shares_[0].thread_id.store(own_thread_id(), std::memory_order_relaxed);
  if (pin_) pin_calling_thread_to(caller_cpu_);
}

std::vector<int> WorkerPool::thread_ids() const {
  std::vector<int> ids;
  for (int i = 0; i < threads_; ++i) ids.push_back(shares_[static_cast<size_t>(i)].thread_id.load(std::memory_order_relaxed));
  return ids;
}

void WorkerPool::begin_step() {
  in_step_.store(1, std::memory_order_relaxed);
  epoch_.fetch_add(1);
  if (sleepers_.load() != 0) epoch_.notify_all();
}

void WorkerPool::end_step() { in_step_.store(0, std::memory_order_relaxed); }

void WorkerPool::run(const Job& job) {
  const int64_t chunks = (job.count + job.chunk - 1) / job.chunk;
  done_.store(0, std::memory_order_relaxed);
  for (int i = threads_ - 1; i >= 0; --i) {  // the caller's own last
    Share& share = shares_[static_cast<size_t>(i)];
    share.call.store(job.call, std::memory_order_relaxed);
    share.context.store(job.context, std::memory_order_relaxed);
    share.count.store(job.count, std::memory_order_relaxed);
    share.chunk.store(job.chunk, std::memory_order_relaxed);
    const auto begin = static_cast<uint64_t>(chunks * i / threads_), end = static_cast<uint64_t>(chunks * (i + 1) / threads_);
    share.chunks.store(begin << 32 | end, std::memory_order_release);
  }
  epoch_.fetch_add(1);  // seq_cst, like the sleepers' side: one of the two sees the other
  if (sleepers_.load() != 0) epoch_.notify_all();
  const int64_t own = work(0);
  wait_for_chunks(static_cast<uint32_t>(chunks - own));
}

void WorkerPool::wait_for_chunks(uint32_t chunks) {
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) == chunks; };
  if (spin_until(all_done, [&] { return spin_ ? kCallerSpin : kCrowdedSpin; })) return;
  caller_sleeps_.store(1);
  for (uint32_t done = done_.load(); done != chunks; done = done_.load()) done_.wait(done);
  caller_sleeps_.store(0);
}

// Runs chunks until none is left to take: the worker's own share, then those of the others. RETURNS: how many.
int64_t WorkerPool::work(int worker) {
  int64_t chunks = 0;
  for (int i = 0; i < threads_; ++i) chunks += drain(shares_[static_cast<size_t>((worker + i) % threads_)], worker);
  return chunks;
}

int64_t WorkerPool::drain(Share& share, int worker) {
  int64_t taken = 0;
  uint64_t word = share.chunks.load(std::memory_order_acquire);
  while (has_chunks(word)) {
    if (!share.chunks.compare_exchange_weak(word, word + (uint64_t{1} << 32), std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
      continue;
    }
    const int64_t chunk = share.chunk.load(std::memory_order_relaxed);
    const int64_t begin = static_cast<int64_t>(word >> 32) * chunk;
    const int64_t end = std::min(begin + chunk, share.count.load(std::memory_order_relaxed));
    share.call.load(std::memory_order_relaxed)(share.context.load(std::memory_order_relaxed), begin, end, worker);
    ++taken;
    word = share.chunks.load(std::memory_order_acquire);
  }
  return taken;
}

// RETURNS: false when the pool ends.
bool WorkerPool::wait_for_work(const Share& own) {
  const auto ready = [&] {
    return has_chunks(own.chunks.load(std::memory_order_acquire)) || stop_.load(std::memory_order_relaxed);
  };
  const auto longest = [&] {
    if (!spin_) return kCrowdedSpin;
    return in_step_.load(std::memory_order_relaxed) != 0 ? kStepSpin : kIdleSpin;
  };
  for (;;) {
    if (spin_until(ready, longest)) return !stop_.load(std::memory_order_acquire);
    sleep_until_work(own);
  }
}

// Wakes up for every job and step that begins, for the pool's end, and now and then for nothing.
void WorkerPool::sleep_until_work(const Share& own) {
  const uint32_t seen = epoch_.load();
  sleepers_.fetch_add(1);
  if (!has_chunks(own.chunks.load()) && !stop_.load()) epoch_.wait(seen);
  sleepers_.fetch_sub(1);
}

void WorkerPool::worker_loop(int worker, int cpu) {
  if (cpu >= 0) pin_calling_thread_to(cpu);
  Share& own = shares_[static_cast<size_t>(worker)];
  own.thread_id.store(own_thread_id(), std::memory_order_relaxed);
  seal_this_thread("worker");
  while (wait_for_work(own)) {
    const auto chunks = static_cast<uint32_t>(work(worker));
    if (chunks == 0) continue;
    done_.fetch_add(chunks);
    if (caller_sleeps_.load() != 0) done_.notify_all();
  }
}

}  // namespace weir::cpu
