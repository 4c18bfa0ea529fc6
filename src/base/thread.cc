#include "base/thread.h"

#include <pthread.h>

#include <atomic>
#include <new>
#include <system_error>
#include <utility>

namespace weir {
namespace {

constexpr size_t kNameBytesMax = 15;  // the kernel's

std::atomic<int64_t> starts_left{-1};

bool may_start() {
  int64_t left = starts_left.load();
  while (left > 0 && !starts_left.compare_exchange_weak(left, left - 1)) {
  }
  return left != 0;
}

Status no_thread(const std::string& name, const std::string& why) {
  return Status(Code::kResourceExhausted,
                "cannot start the thread '" + name + "': " + why +
                    "; raise the limit of threads (ulimit -u, TasksMax=, the cgroup's pids.max) or ask for fewer "
                    "(--threads, --io-threads)");
}

}  // namespace

Result<std::thread> start_thread(const std::string& name, std::function<void()> body) {
  if (!may_start()) return no_thread(name, "the test gives no more");
  try {
    std::thread thread(std::move(body));
    pthread_setname_np(thread.native_handle(), name.substr(0, kNameBytesMax).c_str());
    return thread;
  } catch (const std::system_error& error) {
    return no_thread(name, error.code().message());
  } catch (const std::bad_alloc&) {
    return no_thread(name, "no memory is left");
  }
}

void limit_thread_starts_for_test(int64_t starts) { starts_left.store(starts); }

}  // namespace weir
