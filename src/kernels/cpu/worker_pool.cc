#include "kernels/cpu/worker_pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "base/alloc_guard.h"
#include "base/check.h"
#include "base/thread.h"
#include "device/host/cpu_topology.h"

namespace weir::cpu {
namespace {

using std::chrono::microseconds;
constexpr auto kIdleSpin = microseconds(100);   // twice the engine's own work between two steps
constexpr auto kStepSpin = microseconds(2000);  // longer than any op that one thread does alone
constexpr auto kCallerSpin = microseconds(200);
constexpr auto kCrowdedSpin = microseconds(5);  // less CPU time than threads

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

// Best effort: containers may forbid it.
void keep_calling_thread_on(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

WorkerPool::WorkerPool(const Options& options)
    : threads_(options.threads),
      shares_(std::make_unique<Share[]>(static_cast<size_t>(std::max(1, options.threads)))) {
  WEIR_CHECK(options.threads >= 1 && options.threads <= 1024);
  const std::vector<int> allowed = process_cpus();
  cpus_ = options.cpus.empty() ? allowed : options.cpus;
  const bool enough = static_cast<size_t>(threads_) <= cpus_.size();
  spin_ = options.spin && enough;
  pin_ = options.pin && enough;
  std::vector<int> ascending = cpus_;
  std::sort(ascending.begin(), ascending.end());
  if (!pin_ && ascending == allowed) cpus_.clear();
}

Status WorkerPool::start_workers() {
  workers_.reserve(static_cast<size_t>(threads_) - 1);
  for (int i = 1; i < threads_; ++i) {
    WEIR_ASSIGN_OR_RETURN(std::thread worker,
                          start_thread("worker " + std::to_string(i), [this, i] { worker_loop(i); }));
    workers_.push_back(std::move(worker));
  }
  return ok_status();
}

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(const Options& options) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool(options));
  WEIR_RETURN_IF_ERROR(pool->start_workers());
  return pool;
}

WorkerPool::~WorkerPool() {
  stop_.store(true);
  epoch_.fetch_add(1);
  epoch_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void WorkerPool::bind_calling_thread() {
  shares_[0].thread_id.store(own_thread_id(), std::memory_order_relaxed);
  take_cpu(0);
}

// Its own where workers are pinned, else any of the set.
void WorkerPool::take_cpu(int worker) const {
  const std::span<const int> cpus = cpus_;
  if (!cpus.empty()) keep_calling_thread_on(pin_ ? cpus.subspan(static_cast<size_t>(worker), 1) : cpus);
}

std::vector<int> WorkerPool::thread_ids() const {
  std::vector<int> ids;
  for (int i = 0; i < threads_; ++i)
    ids.push_back(shares_[static_cast<size_t>(i)].thread_id.load(std::memory_order_relaxed));
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
    const auto begin = static_cast<uint64_t>(chunks * i / threads_),
               end = static_cast<uint64_t>(chunks * (i + 1) / threads_);
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
  for (int i = 0; i < threads_; ++i) chunks += drain(shares_[static_cast<size_t>((worker + i) % threads_)]);
  return chunks;
}

int64_t WorkerPool::drain(Share& share) {
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
    share.call.load(std::memory_order_relaxed)(share.context.load(std::memory_order_relaxed), begin, end);
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

void WorkerPool::worker_loop(int worker) {
  take_cpu(worker);
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
