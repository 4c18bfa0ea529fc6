#include "api/text_pool.h"

#include <algorithm>

#include "api/contain.h"

namespace weir::api {

TextPool::TextPool(int threads, size_t extra, std::atomic<uint64_t>* dropped)
    : queued_max_(kQueuedPerThread * static_cast<size_t>(std::max(1, threads)) + extra), dropped_(dropped) {
  for (int i = 0; i < std::max(1, threads); ++i) threads_.emplace_back([this] { work(); });
}

bool TextPool::try_run(http::Callback&& job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() == queued_max_) return false;
    if (contain([&] { jobs_.emplace_back(); }) != Thrown::kNothing) return false;
    jobs_.back() = std::move(job);
  }
  wake_.notify_one();
  return true;
}

void TextPool::work() {
  while (true) {
    http::Callback job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    if (contain(job) != Thrown::kNothing) dropped_->fetch_add(1, std::memory_order_relaxed);
  }
}

void TextPool::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace weir::api
