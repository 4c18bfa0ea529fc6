// CpuOps: Ops on host memory. Checks shapes, turns views into raw pointers, decides how to cut the work, and calls
// the kernel table; cpu_attention.cc has what touches the KV cache. Owner: CpuBackend. Thread: the executor; runs
// at once, so streams are ignored.
#pragma once

#include <algorithm>

#include "device/host/host_device.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/worker_pool.h"
#include "kernels/ops.h"

namespace weir::cpu {

template <class T>
T* raw(VecView<T> view) {
  return host_ptr<T>(view.data);
}
template <class T>
T* raw(MatView<T> view) {
  return host_ptr<T>(view.data);
}
inline int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

class CpuOps final : public Ops {
 public:
  CpuOps(const KernelTable* table, WorkerPool* pool) : table_(*table), pool_(*pool) {}

  uint64_t packed_bytes(WeightFormat format, int64_t n, int64_t k) const override;
  uint64_t linear_workspace_bytes(int64_t rows, int64_t k) const override;
  uint64_t attention_workspace_bytes(int64_t tokens, int64_t heads, int64_t kv_heads, int64_t head_dim,
                                     int64_t context) const override;

  void pack_rows(Stream& stream, const PackRowsArgs& args) override;
  void embed(Stream& stream, const EmbedArgs& args) override;
  void linear(Stream& stream, const LinearArgs& args) override;
  void qkv_finish(Stream& stream, const QkvFinishArgs& args) override;
  void attention(Stream& stream, const AttentionArgs& args) override;
  void gather_rows(Stream& stream, const GatherRowsArgs& args) override;

 private:
  // Rows of `row_elements` each: one worker while the whole is small, else even shares. Waking the pool costs about
  // a microsecond; 16 Ki elements take one worker a few.
  template <class Body>
  void over_rows(int64_t rows, int64_t row_elements, const Body& body) {
    constexpr int64_t kSerialElements = 16 * 1024;
    const int64_t serial_rows = std::max<int64_t>(1, kSerialElements / std::max<int64_t>(1, row_elements));
    const int64_t share = div_up(rows, int64_t{pool_.threads()} * 2);
    pool_.parallel_for(rows, std::max(serial_rows, share), body);
  }
  bool splits_context(int64_t tokens, int64_t kv_heads, int64_t context, uint64_t partials) const;

  const KernelTable& table_;
  WorkerPool& pool_;
};

}  // namespace weir::cpu
