#include "server/memory_actions.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

namespace weir {
namespace {

constexpr int kFilesMax = 1024;

}  // namespace

int drop_file_pages(const std::string& model_dir) {
  int told = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(model_dir, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != ".safetensors" || told == kFilesMax) continue;
    const int fd = ::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    told += posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    ::close(fd);
  }
  return told;
}

MemoryActions::MemoryActions(FrontDoor* door, std::string model_dir, EngineRelief engine)
    : door_(door), model_dir_(std::move(model_dir)), engine_(std::move(engine)) {}

void MemoryActions::stop_growing(bool on) {
  files_dropped_ = false;
  if (engine_.stop_growing) engine_.stop_growing(on);
}

void MemoryActions::drop_caches() {
  if (engine_.drop_caches) engine_.drop_caches();
  malloc_trim(0);
  if (!std::exchange(files_dropped_, true)) drop_file_pages(model_dir_);
}

void MemoryActions::shrink_work(bool on) {
  if (engine_.shrink_work) engine_.shrink_work(on);
}

void MemoryActions::refuse_new(bool on) { door_->refuse_for_memory(on); }

void MemoryActions::cancel_newest() {
  if (engine_.cancel_newest) engine_.cancel_newest();
}

EngineRelief engine_relief(Gateway* gateway) {
  Controls& controls = gateway->controls();
  const auto tell = [gateway, &controls](auto change) {
    return [gateway, &controls, change](auto... on) {
      change(controls, on...);
      gateway->poke();
    };
  };
  return {.stop_growing = tell([](Controls& c, bool on) {
            c.hold_growth.store(on, std::memory_order_relaxed);
            if (!on) c.squeeze.store(false, std::memory_order_relaxed);
          }),
          .drop_caches = tell([](Controls& c) {
            c.drop_caches.fetch_add(1, std::memory_order_relaxed);
            c.squeeze.store(true, std::memory_order_relaxed);
          }),
          .shrink_work = tell([](Controls& c, bool on) { c.halve_work.store(on, std::memory_order_relaxed); }),
          .cancel_newest = tell([](Controls& c) { c.cancel_newest.fetch_add(1, std::memory_order_relaxed); })};
}

}  // namespace weir
