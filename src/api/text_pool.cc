#include "api/text_pool.h"

#include <algorithm>
#include <utility>

#include "api/contain.h"
#include "base/thread.h"

namespace weir::api {

TextPool::TextPool(std::string name, int threads, size_t extra, std::atomic<uint64_t>* dropped)
    : name_(std::move(name)),
      thread_count_(std::max(1, threads)),
      queued_max_(kQueuedPerThread * static_cast<size_t>(thread_count_) + extra),
      dropped_(dropped) {}

Status TextPool::start() {
  {
    std::lock_guard lock(mutex_);
    taking_ = true;
  }
  threads_.reserve(static_cast<size_t>(thread_count_));
  for (int i = 0; i < thread_count_; ++i) {
    Result<std::thread> thread = start_thread(name_, [this] { work(); });
    if (!thread.ok()) {
      stop();
      return thread.status();
    }
    threads_.push_back(std::move(thread).value());
  }
  return ok_status();
}

bool TextPool::try_run(http::Callback&& job) {
  {
    std::lock_guard lock(mutex_);
    if (!taking_ || jobs_.size() == queued_max_) return false;
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
      wake_.wait(lock, [this] { return !taking_ || !jobs_.empty(); });
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
    taking_ = false;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace weir::api
