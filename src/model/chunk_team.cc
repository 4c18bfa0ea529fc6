#include "model/chunk_team.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "base/thread.h"

namespace weir {
namespace {

constexpr int kThreadsMax = 16;  // beyond that no disk and no memory gets faster

struct Work {
  const std::function<Status(uint64_t)>& body;
  const uint64_t count;
  std::atomic<uint64_t> next{0}, done{0};
  std::mutex mutex;  // guards what follows
  uint64_t failed_index = UINT64_MAX;
  Status failure;

  // RETURNS: false when there is nothing left to begin.
  bool one() {
    const uint64_t index = next.fetch_add(1);
    if (index >= count) return false;
    Status status = body(index);
    if (status.ok()) {
      done.fetch_add(1);
      return true;
    }
    next.store(count);  // a claim that is under way adds to it, and still finds nothing
    const std::lock_guard lock(mutex);
    if (index < failed_index) {
      failed_index = index;
      failure = std::move(status);
    }
    return false;
  }
};

}  // namespace

Status ChunkTeam::run(uint64_t count, const std::function<Status(uint64_t index)>& body) const {
  Work work{.body = body, .count = count};
  std::vector<std::thread> helpers;
  const uint64_t wanted = std::min<uint64_t>(static_cast<uint64_t>(std::clamp(threads, 1, kThreadsMax)), count);
  helpers.reserve(wanted);
  for (uint64_t i = 1; i < wanted; ++i) {
    Result<std::thread> helper = start_thread("loading", [&work] {
      while (work.one()) {
      }
    });
    if (!helper.ok()) break;  // those that are there do it
    helpers.push_back(std::move(helper).value());
  }
  while (work.one()) {
    if (progress) progress(static_cast<double>(work.done.load()) / static_cast<double>(count));
  }
  for (std::thread& helper : helpers) helper.join();
  if (work.failed_index == UINT64_MAX && progress) progress(1.0);
  return work.failure;
}

}  // namespace weir
