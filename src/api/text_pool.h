// TextPool: the few threads that render templates and turn text into tokens, so that no io thread waits for it.
//
// Owner: Api. try_run from any thread; jobs run on the pool's threads in the order they came. Limits: threads, and
// kQueuedPerThread jobs that wait for each, plus `extra`; a full pool is an answer (429 text_pool_full). What a job holds is
// charged elsewhere (http's body budget). A job must not throw.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "http/callback.h"

namespace weir::api {

class TextPool {
 public:
  // Tokenising takes about a millisecond, so this is a fraction of a second of work at most.
  static constexpr size_t kQueuedPerThread = 64;

  // extra: jobs that may wait beyond those; as many as the front door lets in, so that it alone decides.
  explicit TextPool(int threads, size_t extra = 0);
  ~TextPool() { stop(); }

  // RETURNS: false when full or stopped; the job is then untouched.
  [[nodiscard]] bool try_run(http::Callback&& job);
  void stop();  // runs what is queued, then joins; idempotent; not from a pool thread

 private:
  void work();

  const size_t queued_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<http::Callback> jobs_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace weir::api
