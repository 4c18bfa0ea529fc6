// HostDevice: ordinary memory as a Device. Copies are done when the call returns; streams carry no state.
// Thread: as device/device.h says. Limits: a reservation larger than what /proc/meminfo calls available is refused,
// because touching it would bring the kernel's OOM killer and not an error.
// Huge pages are asked for wherever a region can hold one; what came of it is for memory/monitor to read. With `lock`
// every committed page is locked as well (mlock), so that it can be neither swapped nor reclaimed; the right to do so
// is often missing in containers, and that is an error that says how to get it, never a silent skip.
// With two or more `nodes` the pages of every region lie on them in turn (mbind, interleave): workers on each node then read
// the same part of the weights from near, and no node's memory channels are left idle. Which worker reads which page
// changes (chunks are taken over), so no page has one right node. Where the kernel refuses, speed is lost and no more: one
// warning.
// Never: gives out memory that was not touched.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "device/device.h"

namespace weir {

// For host kernels and tests alone: the address space of the host device is the process's own.
template <class T>
T* host_ptr(DevicePtr ptr) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(ptr.address()));
}
inline DevicePtr device_ptr_of(const void* host) { return DevicePtr(reinterpret_cast<uintptr_t>(host)); }

inline constexpr int kNumaNodesMax = 1024;  // as many as Linux can be built for

struct HostDeviceOptions {
  bool lock = false;  // --mlock
  std::vector<int> nodes;  // two or more: pages are spread over these NUMA nodes in turn; each in [0, kNumaNodesMax)
};

class HostDevice final : public Device {
 public:
  explicit HostDevice(HostDeviceOptions options = {}) : options_(std::move(options)) {}
  std::string_view name() const override { return "cpu"; }
  Result<std::unique_ptr<Stream>> make_stream() override;
  void copy_to_device(Stream& stream, DevicePtr dst, const void* src, uint64_t bytes) override;
  void copy_to_host(Stream& stream, void* dst, DevicePtr src, uint64_t bytes) override;
  void copy_within(Stream& stream, DevicePtr dst, DevicePtr src, uint64_t bytes) override;
  void fill_zero(Stream& stream, DeviceSpan span) override;
  Status synchronize(Stream& stream) override;
  uint64_t memory_free_bytes() const override;   // MemAvailable
  uint64_t memory_total_bytes() const override;  // MemTotal
  void* host_pointer(DevicePtr ptr) const override { return host_ptr<void>(ptr); }

 protected:
  Result<DevicePtr> map(uint64_t bytes, uint64_t bytes_max) override;
  Status remap(DevicePtr base, uint64_t bytes_old, uint64_t bytes_new) override;
  void unmap(DevicePtr base, uint64_t bytes_max) override;

 private:
  Status commit(char* begin, uint64_t bytes) const;
  void spread(char* begin, uint64_t bytes) const;
  void give_back(char* begin, uint64_t bytes) const;

  const HostDeviceOptions options_;
};

}  // namespace weir
