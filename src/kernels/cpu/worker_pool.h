// WorkerPool: splits one op's work over threads and waits for it. The calling thread is worker 0.
//
// Owner: the CPU backend. Thread: parallel_for, begin_step and end_step from one thread only (the executor).
// Limits: threads fixed at construction; after it nothing allocates and no lock is taken. Never runs work after
// parallel_for returned.
//
// Work is cut into chunks, and each worker has a share of them: the same one in every call of the same size, so
// that what it streamed in the last step is in its caches and on its NUMA node. Whoever is done takes chunks from
// the shares of the others, so a worker that the kernel has not scheduled costs nothing: the caller waits only for
// chunks that somebody has begun. A share is one word, next chunk and end; taking a chunk is one compare-and-swap
// on it, and it alone says that the chunk is to be done: whoever takes one finds the job that it belongs to in the
// same cache line, because that job cannot end before.
//
// Between begin_step() and end_step() workers spin and never sleep (but for kStepSpin without work, or where there is
// less CPU time than threads); after it they spin for kIdleSpin, the gap between two steps, and then sleep in a
// futex: an idle process uses no CPU.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/status.h"

namespace weir::cpu {

class WorkerPool {
 public:
  struct Options {
    int threads = 1;        // 1..1024, the caller included
    bool pin = true;        // worker i to the i-th of the CPUs; ignored when threads exceed them
    bool spin = true;       // between the ops of a step; false: there is less CPU time than threads
    std::vector<int> cpus;  // where the workers may run, in the order of pinning; empty: process_cpus()
  };
  // ERRORS: those of start_thread(), for the first worker that cannot be had; those before it have ended then.
  static Result<std::unique_ptr<WorkerPool>> create(const Options& options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int threads() const { return threads_; }
  void bind_calling_thread();  // makes it worker 0: pins it where pinning is on

  // Kernel ids of the workers' threads, worker 0's once it is bound (0 until then). Any thread.
  std::vector<int> thread_ids() const;

  // Calls body(begin, end) for disjoint ranges that cover [0, count), each at most `chunk` long (one range where
  // there are no workers). Returns when all are done; what they wrote is visible. REQUIRES count < 2^31, chunk
  // >= 1.
  template <class Body>
  void parallel_for(int64_t count, int64_t chunk, const Body& body) {
    if (count <= chunk || threads_ == 1) {
      if (count > 0) body(int64_t{0}, count);
      return;
    }
    run({[](const void* context, int64_t begin, int64_t end) { (*static_cast<const Body*>(context))(begin, end); },
         &body, count, chunk});
  }

  // A step is about to call parallel_for many times: sleeping workers wake up now. Both are cheap.
  void begin_step();
  void end_step();

 private:
  explicit WorkerPool(const Options& options);
  Status start_workers();

  struct Job {
    void (*call)(const void* context, int64_t begin, int64_t end);
    const void* context;
    int64_t count, chunk;
  };

  // What one worker spins on, in a cache line of its own. The job is written before the word that offers its
  // chunks, and read after one was taken.
  struct alignas(64) Share {
    std::atomic<uint64_t> chunks{0};  // next << 32 | end
    std::atomic<decltype(Job::call)> call{nullptr};
    std::atomic<const void*> context{nullptr};
    std::atomic<int64_t> count{0};
    std::atomic<int64_t> chunk{1};
    std::atomic<int> thread_id{0};
  };

  void run(const Job& job);
  int64_t work(int worker);
  int64_t drain(Share& share);
  bool wait_for_work(const Share& own);
  void sleep_until_work(const Share& own);
  void wait_for_chunks(uint32_t chunks);
  void worker_loop(int worker);
  void take_cpu(int worker) const;

  const int threads_;
  bool pin_ = false;
  bool spin_ = true;       // false: less CPU time than threads, and who spins keeps another from working
  std::vector<int> cpus_;  // empty: the process's own, which threads have anyway
  const std::unique_ptr<Share[]> shares_;  // [threads]

  alignas(64) std::atomic<uint32_t> done_{0};  // chunks finished by workers other than the caller
  std::atomic<uint32_t> caller_sleeps_{0};
  alignas(64) std::atomic<uint32_t> in_step_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint32_t> epoch_{0};  // changes with each job: what sleepers wait on
  std::atomic<uint32_t> sleepers_{0};

  std::vector<std::thread> workers_;
};

}  // namespace weir::cpu
