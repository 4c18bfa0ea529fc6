#include "kernels/backend.h"

#include <algorithm>

#include "device/host/cpu_topology.h"
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
  CpuBackend(const cpu::KernelTable* table, std::unique_ptr<cpu::WorkerPool> pool, HostDeviceOptions memory)
      : device_(std::move(memory)),
        pool_(std::move(pool)),
        ops_(table, pool_.get()),
        isa_(table->isa),
        description_("cpu " + std::string(table->isa) + ", " + std::to_string(pool_->threads()) +
                     (pool_->threads() == 1 ? " thread" : " threads")) {}
  Device& device() override { return device_; }
  Ops& ops() override { return ops_; }
  int threads() const override { return pool_->threads(); }
  PackedLayout packed_layout() const override { return {isa_, cpu::kPackVersion}; }
  std::string_view description() const override { return description_; }
  void bind_calling_thread() override { pool_->bind_calling_thread(); }
  std::vector<int> thread_ids() const override { return pool_->thread_ids(); }
  void begin_step() override { pool_->begin_step(); }
  void end_step() override { pool_->end_step(); }

 private:
  void run_parallel(int64_t count, ParallelBody body, const void* context) override {
    pool_->parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(context, i);
    });
  }

  HostDevice device_;
  const std::unique_ptr<cpu::WorkerPool> pool_;
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
  const std::vector<int> cpus = options.cpus.empty() ? process_cpus() : options.cpus;
  const int threads = options.threads == 0 ? std::min(static_cast<int>(cpus.size()), kThreadsMax) : options.threads;
  WEIR_ASSIGN_OR_RETURN(auto pool,
                        cpu::WorkerPool::create(
                            {.threads = threads, .pin = options.pin, .spin = options.spin, .cpus = options.cpus}));
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(
      table, std::move(pool), HostDeviceOptions{.lock = options.lock_memory, .nodes = options.memory_nodes}));
}

}  // namespace weir
