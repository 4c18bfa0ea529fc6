// Backend: a Device, the Ops that compute on it, and the workers they use. The one door through which the rest of
// the server picks hardware.
//
// Owner: server/. Thread: made and destroyed on one thread; used as device.h and ops.h say. Limits: the thread
// count is fixed at construction. Adding a backend means adding a folder kernels/<name>/ with a backend.cc that
// defines `Result<std::unique_ptr<Backend>> make_<name>_backend(const BackendOptions&)`: CMake lists the folders
// that have one, so no file is edited and the static library cannot drop an object that nothing refers to.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "device/device.h"
#include "kernels/ops.h"

namespace weir {

struct BackendOptions {
  int threads = 0;  // compute threads, the calling one included; 0 = one per CPU this process may use; <= 1024
  std::string isa;  // "" = the best this CPU has (WEIR_ISA in the environment, where set, wins): scalar, avx2,
                    // avx512, avx512vnni, neon, neoni8mm
  bool pin = true;  // tie workers to CPUs; ignored where there are more threads than CPUs
  bool spin = true;  // workers spin between the ops of a step; false: there is less CPU time than threads
  std::vector<int> cpus;  // where they run: worker i on cpus[i] when tied; empty: the CPUs this process may use, ascending
  std::vector<int> memory_nodes;  // two or more: pages of every region are spread over these NUMA nodes in turn
  bool lock_memory = false;  // lock the pages of every region (mlock), where the device is the host
};

// What the bytes of packed weights depend on beside the checkpoint: they may be kept (model/weight_cache.h) as long as
// both stay the same.
struct PackedLayout {
  std::string_view isa;  // "avx2", ...; static storage
  uint32_t version = 0;  // goes up whenever packing the same matrix gives other bytes
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Device& device() = 0;
  virtual Ops& ops() = 0;
  virtual int threads() const = 0;
  virtual PackedLayout packed_layout() const = 0;
  virtual std::string_view description() const = 0;  // "cpu avx512vnni, 2 threads": for the log and /plan
  // The executor calls it once, on its own thread, before its first step (pins it where asked).
  virtual void bind_calling_thread() = 0;
  // Kernel ids of the threads that compute, 0 for one that has not begun: to see whether they get their CPUs. Any thread.
  virtual std::vector<int> thread_ids() const { return {}; }

  // Many ops follow until end_step(): workers need not go to sleep between them. The executor's thread; StepScope does it.
  virtual void begin_step() {}
  virtual void end_step() {}

  // Calls body(index) for every index in [0, count), on any worker in any order. Returns when all are done; what they wrote
  // is visible. The executor's thread.
  template <class Body>
  void parallel_for(int64_t count, const Body& body) {
    run_parallel(count, [](const void* context, int64_t index) { (*static_cast<const Body*>(context))(index); }, &body);
  }

 protected:
  using ParallelBody = void (*)(const void* context, int64_t index);
  virtual void run_parallel(int64_t count, ParallelBody body, const void* context) {
    for (int64_t i = 0; i < count; ++i) body(context, i);
  }
};

// One step of the executor.
class StepScope {
 public:
  explicit StepScope(Backend* backend) : backend_(backend) { backend_->begin_step(); }
  ~StepScope() { backend_->end_step(); }
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;

 private:
  Backend* const backend_;
};

// ERRORS: kInvalidArgument for an unknown name, listing what this build has, or for an option out of range;
// kFailedPrecondition where the hardware is absent or lacks the instruction set; those of start_thread().
Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options);
std::string backend_names();  // "cpu" or "cpu, cuda"

}  // namespace weir
