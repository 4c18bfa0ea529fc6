// WorkerPool: splits one op's work over threads and waits for it. The calling thread is worker 0.
//
// Owner: the CPU backend. Thread: parallel_for from one thread only (the executor). Limits: threads fixed at
// construction; after it nothing allocates and no lock is taken. Chunks are claimed by compare-and-swap, so a
// worker that the kernel has not scheduled costs nothing: the others, at least the caller, take its share. The
// caller waits only for chunks that somebody has begun. Workers spin for about 30 us between jobs, the gap between
// two ops of a layer, then sleep in a futex: an idle process uses no CPU. Never runs work after parallel_for
// returned.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace weir::cpu {

std::vector<int> allowed_cpus();      // CPUs this process may run on, ascending; at least one entry
void pin_calling_thread_to(int cpu);  // best effort: containers may forbid it

class WorkerPool {
 public:
  struct Options {
    int threads = 1;  // 1..1024, the caller included
    bool pin = true;  // worker i to the i-th allowed CPU; ignored when threads exceed the CPUs
  };
  explicit WorkerPool(const Options& options);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  void bind_calling_thread();  // pins it as worker 0, where pinning is on

  // Calls body(begin, end) for disjoint ranges that cover [0, count), each at most `chunk` long (one range where
  // there are no workers). Returns when all are done; what they wrote is visible. REQUIRES count < 2^31, chunk
  // >= 1.
  template <class Body>
  void parallel_for(int64_t count, int64_t chunk, const Body& body) {
    if (count <= chunk || workers_.empty()) {
      if (count > 0) body(int64_t{0}, count);
      return;
    }
    run({[](const void* context, int64_t begin, int64_t end) { (*static_cast<const Body*>(context))(begin, end); },
         &body, count, chunk});
  }

 private:
  struct Job {
    void (*call)(const void* context, int64_t begin, int64_t end);
    const void* context;
    int64_t count, chunk;
  };
  void run(const Job& job);
  void work(uint32_t generation);
  void worker_loop(int cpu);
  uint32_t wait_for_job(uint32_t seen);

  // The job. Written by the caller after the ticket of the job before was withdrawn and before the new one is issued,
  // so a claim that succeeds proves that the fields read before it belong to the same generation.
  std::atomic<void (*)(const void*, int64_t, int64_t)> call_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<int64_t> count_{0};
  std::atomic<int64_t> chunk_{1};

  alignas(64) std::atomic<uint64_t> ticket_{0};  // generation << 32 | next index
  alignas(64) std::atomic<uint32_t> done_{0};    // items finished of this generation
  std::atomic<uint32_t> caller_sleeps_{0};
  alignas(64) std::atomic<uint32_t> epoch_{0};  // the generation last published: what workers wait on
  std::atomic<uint32_t> sleepers_{0};
  std::atomic<bool> stop_{false};

  bool pin_ = false;
  int caller_cpu_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace weir::cpu
