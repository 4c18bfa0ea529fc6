// TextPool: the few threads that parse large bodies, render templates and turn text into tokens, so that no io
// thread waits for it.
//
// Owner: Api. try_run from any thread. A free thread takes the job whose tenant has the fewest under way, of those
// the tenant's that was served longest ago, and of one tenant the oldest: whatever a tenant sends, another's job is
// next. Jobs that may take more than light_bytes are heavy: they share heavy_bytes and leave a thread to the light
// ones. Limits: threads, and kQueuedPerThread jobs that wait for each, plus `extra`; a full pool is an answer (429
// text_pool_full). What a job holds beyond its bytes is charged elsewhere. A job that throws is dropped with what
// it holds, and the pool goes on: a request that was in it alone is answered by http, with a 500.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "http/callback.h"
#include "message/tenants.h"

namespace weir::api {

struct TextPoolBytes {
  uint64_t light = std::numeric_limits<uint64_t>::max();  // planned for each thread
  uint64_t heavy = 0;                                     // planned beside, for all heavy jobs together
};

class TextPool {
 public:
  // Tokenising takes about a millisecond, so this is a fraction of a second of work at most.
  static constexpr size_t kQueuedPerThread = 64;

  // extra: jobs that may wait beyond those; as many as the front door lets in, so that it alone decides. dropped:
  // counts the jobs that threw; outlives the pool. name: of its threads. No job is taken before start().
  TextPool(std::string name, int threads, size_t extra, std::atomic<uint64_t>* dropped, TextPoolBytes bytes = {});
  ~TextPool() { stop(); }

  // ERRORS: those of start_thread(); no job is taken then.
  Status start();

  // RETURNS: false when full, stopped or without memory for it; the job is then untouched. tenant: [0,
  // kTenantsMax). bytes: what it may take; at most all heavy bytes are kept for it.
  [[nodiscard]] bool try_run(http::Callback&& job, int32_t tenant = 0, uint64_t bytes = 0);
  void stop();  // runs what is queued, then joins; idempotent; not from a pool thread

 private:
  struct Job {
    http::Callback run;
    int32_t tenant = 0;
    uint64_t heavy_bytes = 0;  // 0: it is light
    uint64_t number = 0;       // in the order of coming
  };
  using Jobs = std::list<Job>;
  enum Kind { kLight, kHeavy, kKinds };
  static Kind kind_of(const Job& job) { return job.heavy_bytes > 0 ? kHeavy : kLight; }
  struct Turn {
    Jobs waiting[kKinds];  // the oldest first
    int running = 0;
    uint64_t served = 0;  // when a job of the tenant was last begun
    bool empty() const { return waiting[kLight].empty() && waiting[kHeavy].empty(); }
  };

  void work();
  Jobs* choose();  // RETURNS: the list whose first job is next; null where none may begin
  bool goes_before(const Job& one, const Job& other) const;
  Jobs take_first(Jobs* list);
  bool may_begin(const Job& job) const;
  void begin(const Job& job);
  void end(const Job& job);

  const std::string name_;
  const int thread_count_;
  const size_t queued_max_;
  std::atomic<uint64_t>* const dropped_;
  const TextPoolBytes bytes_;
  const int heavy_threads_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Turn> turns_;      // of each tenant
  std::vector<int32_t> asking_;  // tenants with waiting jobs, in no order; reserved for all
  size_t waiting_ = 0;
  uint64_t come_ = 0, begun_ = 0;
  int heavy_running_ = 0;
  uint64_t heavy_left_;
  bool taking_ = false;  // between start() and stop()
  std::vector<std::thread> threads_;
};

}  // namespace weir::api
