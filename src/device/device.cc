#include "device/device.h"

#include <algorithm>

#include "base/units.h"

namespace weir {

Region& Region::operator=(Region&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(span_, other.span_);
  std::swap(bytes_max_, other.bytes_max_);
  return *this;
}

Region::~Region() {
  if (device_ != nullptr) device_->unmap(span_.data, bytes_max_);
}

Status Region::resize(uint64_t bytes) {
  if (bytes > bytes_max_) {
    return invalid_argument("cannot resize a region to " + format_bytes(bytes) + ": it was reserved for at most " +
                            format_bytes(bytes_max_));
  }
  if (device_ == nullptr || bytes == span_.bytes) return ok_status();
  WEIR_RETURN_IF_ERROR(device_->remap(span_.data, span_.bytes, bytes));
  span_.bytes = bytes;
  return ok_status();
}

Result<Region> Device::reserve(uint64_t bytes, uint64_t bytes_max) {
  bytes_max = std::max(bytes, bytes_max);
  if (bytes_max == 0) return Region();
  WEIR_ASSIGN_OR_RETURN(const DevicePtr base, map(bytes, bytes_max));
  return Region(this, DeviceSpan{base, bytes}, bytes_max);
}

}  // namespace weir
