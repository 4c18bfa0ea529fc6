#include "kernels/backend.h"

#include <algorithm>

#include "device/host/host_device.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/worker_pool.h"

namespace weir {
namespace {

constexpr int kThreadsMax = 1024;

class CpuBackend final : public Backend {
 public:
  CpuBackend(const cpu::KernelTable* table, const cpu::WorkerPool::Options& options, bool lock_memory)
      : device_({.lock = lock_memory}),
        pool_(options),
        ops_(table, &pool_),
        isa_(table->isa),
        description_("cpu " + std::string(table->isa) + ", " + std::to_string(options.threads) + " threads") {}
  Device& device() override { return device_; }
  Ops& ops() override { return ops_; }
  int threads() const override { return pool_.threads(); }
  PackedLayout packed_layout() const override { return {isa_, cpu::kPackVersion}; }
  std::string_view description() const override { return description_; }
  void bind_calling_thread() override { pool_.bind_calling_thread(); }

 private:
  HostDevice device_;
  cpu::WorkerPool pool_;
  cpu::CpuOps ops_;
  std::string_view isa_;
  std::string description_;
};

}  // namespace

Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options) {
  if (options.threads < 0 || options.threads > kThreadsMax) {
    return invalid_argument("threads must be between 0 (one per CPU) and 1024");
  }
  WEIR_ASSIGN_OR_RETURN(const cpu::KernelTable* table, cpu::choose_table(options.isa));
  const int cpus = std::min(static_cast<int>(cpu::allowed_cpus().size()), kThreadsMax);
  const int threads = options.threads == 0 ? cpus : options.threads;
  return std::unique_ptr<Backend>(
      std::make_unique<CpuBackend>(table, cpu::WorkerPool::Options{threads, options.pin}, options.lock_memory));
}

}  // namespace weir
