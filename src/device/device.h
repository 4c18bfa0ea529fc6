// Device, Region, Stream, DevicePtr: memory that kernels work in, whether the host's or an accelerator's.
//
// Owner: the Backend owns its Device; whoever called reserve() owns the Region and destroys it before the Device.
// Thread: reserve/resize/release on one thread (start-up, or the engine thread for live resizing); copies and
// synchronize on the thread that owns the Stream. Limits: what the memory plan says; nothing here grows by itself.
// Never: hands out memory that the kernel has not backed with pages, and never moves a live Region.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace weir {

// An address in a device's own space. Deliberately not a pointer: reading it on the host is a mistake that must
// not compile. Host kernels convert with host_ptr<T>() of device/host/host_device.h.
class DevicePtr {
 public:
  constexpr DevicePtr() = default;
  constexpr explicit DevicePtr(uint64_t address) : address_(address) {}
  constexpr uint64_t address() const { return address_; }
  constexpr bool is_null() const { return address_ == 0; }
  constexpr DevicePtr plus(uint64_t bytes) const { return DevicePtr(address_ + bytes); }
  constexpr bool operator==(const DevicePtr&) const = default;

 private:
  uint64_t address_ = 0;
};

struct DeviceSpan {
  DevicePtr data;
  uint64_t bytes = 0;

  DeviceSpan part(uint64_t offset, uint64_t count) const {
    WEIR_CHECK(offset <= bytes && count <= bytes - offset);
    return {data.plus(offset), count};
  }
};

// An ordered queue of work. Work on one Stream happens in call order; the host device does it at once.
class Stream {
 public:
  virtual ~Stream() = default;
};

class Device;

// Move-only ownership of device memory, returned to the device by the destructor.
class [[nodiscard]] Region {
 public:
  Region() = default;
  Region(Device* device, DeviceSpan span, uint64_t bytes_max)
      : device_(device), span_(span), bytes_max_(bytes_max) {}
  Region(Region&& other) noexcept { *this = std::move(other); }
  Region& operator=(Region&& other) noexcept;
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
  ~Region();

  DeviceSpan span() const { return span_; }
  uint64_t bytes_max() const { return bytes_max_; }  // bytes of reserved address space
  // Commits or returns pages at the end; the front keeps its address and contents, new bytes are zero and touched.
  // ERRORS: kInvalidArgument above bytes_max(); kResourceExhausted when the memory is not there (size unchanged).
  Status resize(uint64_t bytes);

 private:
  Device* device_ = nullptr;
  DeviceSpan span_;
  uint64_t bytes_max_ = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string_view name() const = 0;  // "cpu"

  // Zeroed memory, aligned to at least 256 bytes, touched so that it exists now and not at first use. bytes_max
  // (0 = bytes) only reserves address space for Region::resize. bytes == 0 gives an empty Region unless bytes_max.
  // ERRORS: kResourceExhausted with both numbers when it cannot be had.
  Result<Region> reserve(uint64_t bytes, uint64_t bytes_max = 0);

  virtual Result<std::unique_ptr<Stream>> make_stream() = 0;

  // Asynchronous on the stream. The host side must stay alive and unchanged until synchronize() returns. Errors
  // surface there. copy_within REQUIRES ranges that do not overlap.
  virtual void copy_to_device(Stream& stream, DevicePtr dst, const void* src, uint64_t bytes) = 0;
  virtual void copy_to_host(Stream& stream, void* dst, DevicePtr src, uint64_t bytes) = 0;
  virtual void copy_within(Stream& stream, DevicePtr dst, DevicePtr src, uint64_t bytes) = 0;
  virtual void fill_zero(Stream& stream, DeviceSpan span) = 0;
  // ERRORS: kInternal when work queued before failed on the device.
  virtual Status synchronize(Stream& stream) = 0;

  // As the device itself sees it now. The host answers from /proc/meminfo and knows nothing of cgroups: the
  // memory room takes the minimum with those.
  virtual uint64_t memory_free_bytes() const = 0;
  virtual uint64_t memory_total_bytes() const = 0;

  // RETURNS: the same address for the host to read and write, or nullptr where the host cannot reach it.
  virtual void* host_pointer(DevicePtr ptr) const = 0;

 protected:
  friend class Region;
  // Address space of bytes_max with the first `bytes` committed, zero and touched.
  virtual Result<DevicePtr> map(uint64_t bytes, uint64_t bytes_max) = 0;
  virtual Status remap(DevicePtr base, uint64_t bytes_old, uint64_t bytes_new) = 0;
  virtual void unmap(DevicePtr base, uint64_t bytes_max) = 0;
};

}  // namespace weir
