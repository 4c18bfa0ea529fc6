#include "api/text_pool.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "api/contain.h"
#include "base/thread.h"

namespace weir::api {

TextPool::TextPool(std::string name, int threads, size_t extra, std::atomic<uint64_t>* dropped, TextPoolBytes bytes)
    : name_(std::move(name)),
      thread_count_(std::max(1, threads)),
      queued_max_(kQueuedPerThread * static_cast<size_t>(thread_count_) + extra),
      dropped_(dropped),
      bytes_(bytes),
      heavy_threads_max_(std::max(1, thread_count_ - 1)),
      turns_(kTenantsMax),
      heavy_left_(bytes.heavy) {
  asking_.reserve(kTenantsMax);
}

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

bool TextPool::try_run(http::Callback&& job, int32_t tenant, uint64_t bytes) {
  {
    std::lock_guard lock(mutex_);
    if (!taking_ || waiting_ == queued_max_) return false;
    Jobs added;
    if (contain([&] { added.emplace_back(); }) != Thrown::kNothing) return false;
    added.back() = {std::move(job), tenant, bytes > bytes_.light ? std::min(bytes, bytes_.heavy) : 0, ++come_};
    Turn& turn = turns_[static_cast<size_t>(tenant)];
    if (turn.empty()) asking_.push_back(tenant);
    Jobs& list = turn.waiting[kind_of(added.back())];
    list.splice(list.end(), added);
    ++waiting_;
  }
  wake_.notify_one();
  return true;
}

bool TextPool::goes_before(const Job& one, const Job& other) const {
  const Turn& a = turns_[static_cast<size_t>(one.tenant)];
  const Turn& b = turns_[static_cast<size_t>(other.tenant)];
  return std::tie(a.running, a.served, one.number) < std::tie(b.running, b.served, other.number);
}

bool TextPool::may_begin(const Job& job) const {
  return job.heavy_bytes == 0 || (heavy_running_ < heavy_threads_max_ && job.heavy_bytes <= heavy_left_);
}

// Looks at the first jobs of each tenant that has any. A heavy job that waits for bytes is not overtaken by smaller
// heavy ones: it would wait for ever.
TextPool::Jobs* TextPool::choose() {
  Jobs* best[kKinds] = {};
  for (const int32_t tenant : asking_) {
    for (const Kind kind : {kLight, kHeavy}) {
      Jobs& list = turns_[static_cast<size_t>(tenant)].waiting[kind];
      if (list.empty()) continue;
      if (best[kind] == nullptr || goes_before(list.front(), best[kind]->front())) best[kind] = &list;
    }
  }
  if (best[kHeavy] == nullptr || !may_begin(best[kHeavy]->front())) return best[kLight];
  return best[kLight] == nullptr || goes_before(best[kHeavy]->front(), best[kLight]->front()) ? best[kHeavy]
                                                                                              : best[kLight];
}

TextPool::Jobs TextPool::take_first(Jobs* list) {
  Jobs taken;
  taken.splice(taken.begin(), *list, list->begin());
  --waiting_;
  const int32_t tenant = taken.front().tenant;
  if (turns_[static_cast<size_t>(tenant)].empty()) {
    *std::find(asking_.begin(), asking_.end(), tenant) = asking_.back();
    asking_.pop_back();
  }
  return taken;
}

void TextPool::begin(const Job& job) {
  Turn& turn = turns_[static_cast<size_t>(job.tenant)];
  ++turn.running;
  turn.served = ++begun_;
  heavy_left_ -= job.heavy_bytes;
  heavy_running_ += job.heavy_bytes > 0 ? 1 : 0;
}

void TextPool::end(const Job& job) {
  --turns_[static_cast<size_t>(job.tenant)].running;
  heavy_left_ += job.heavy_bytes;
  heavy_running_ -= job.heavy_bytes > 0 ? 1 : 0;
  if (job.heavy_bytes > 0) wake_.notify_all();
}

void TextPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    Jobs* next = nullptr;
    wake_.wait(lock, [&] { return (next = choose()) != nullptr || (!taking_ && waiting_ == 0); });
    if (next == nullptr) return;
    Jobs taken = take_first(next);
    Job& job = taken.front();
    begin(job);
    lock.unlock();
    if (contain(job.run) != Thrown::kNothing) dropped_->fetch_add(1, std::memory_order_relaxed);
    job.run = {};  // what the job held goes before its bytes are another's
    lock.lock();
    end(job);
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
