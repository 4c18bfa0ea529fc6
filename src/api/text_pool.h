// TextPool: the few threads that render templates and turn text into tokens, so that no io thread waits for it.
//
// Owner: Api. try_run from any thread; jobs run on the pool's threads in the order they came. Limits: threads, and
// kQueuedPerThread jobs that wait for each, plus `extra`; a full pool is an answer (429 text_pool_full). What a job holds is
// charged elsewhere (http's body budget). A job that throws is dropped with what it holds, and the pool goes on: a request that
// was in it alone is answered by http, with a 500.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "http/callback.h"

namespace weir::api {

class TextPool {
 public:
  // Tokenising takes about a millisecond, so this is a fraction of a second of work at most.
  static constexpr size_t kQueuedPerThread = 64;

  // extra: jobs that may wait beyond those; as many as the front door lets in, so that it alone decides. dropped: counts the
  // jobs that threw; outlives the pool. name: of its threads. No job is taken before start().
  TextPool(std::string name, int threads, size_t extra, std::atomic<uint64_t>* dropped);
  ~TextPool() { stop(); }

  // ERRORS: those of start_thread(); no job is taken then.
  Status start();

  // RETURNS: false when full, stopped or without memory for it; the job is then untouched.
  [[nodiscard]] bool try_run(http::Callback&& job);
  void stop();  // runs what is queued, then joins; idempotent; not from a pool thread

 private:
  void work();

  const std::string name_;
  const int thread_count_;
  const size_t queued_max_;
  std::atomic<uint64_t>* const dropped_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<http::Callback> jobs_;
  bool taking_ = false;  // between start() and stop()
  std::vector<std::thread> threads_;
};

}  // namespace weir::api
