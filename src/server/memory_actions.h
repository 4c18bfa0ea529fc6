// MemoryActions: what the server does about memory pressure, stage by stage (memory/monitor/governor.h).
//
// Owner: App. Thread: the monitor's, which calls one method at a time. It acts on the door, on the allocator and on
// the page cache of the model's files by itself; what belongs to the engine is handed over through EngineRelief.
// It never waits for the engine.
#pragma once

#include <functional>
#include <string>

#include "admission/front_door.h"
#include "memory/monitor/governor.h"

namespace weir {

// The engine's part. Each is called on the monitor thread and must only leave word for the engine thread (an
// atomic, a command). An empty one is a measure that this engine does not have.
struct EngineRelief {
  std::function<void(bool on)> stop_growing;  // the prefix cache takes no new blocks
  std::function<void()> drop_caches;          // gives up cached prefixes, returns their pages
  std::function<void(bool on)> shrink_work;   // half the chunk and the batch
  std::function<void()> cancel_newest;        // ends the newest sequence with a reason of its own
};

// As words left in Controls. The squeeze begins with dropping caches and ends with the last stage.
EngineRelief engine_relief(Gateway* gateway);

class MemoryActions final : public GovernorActions {
 public:
  // door outlives it. model_dir: its *.safetensors are not needed again once they are loaded.
  MemoryActions(FrontDoor* door, std::string model_dir, EngineRelief engine);

  void stop_growing(bool on) override;
  void drop_caches() override;
  void shrink_work(bool on) override;
  void refuse_new(bool on) override;
  void cancel_newest() override;

 private:
  FrontDoor* const door_;
  const std::string model_dir_;
  const EngineRelief engine_;
  bool files_dropped_ = false;  // in this episode: nothing reads them again, so once is enough
};

// Tells the kernel that the clean pages of the model's files may go. RETURNS: how many files it was told about;
// those that cannot be opened are left out. Limit: 1024 files.
int drop_file_pages(const std::string& model_dir);

}  // namespace weir
