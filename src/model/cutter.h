// Cutter: cuts views out of a span, front to back, or only counts the bytes that this would take.
//
// Used by one function per region in both modes, which is what keeps the plan and the use the same.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "base/units.h"
#include "tensor/view.h"

namespace weir {

class Cutter {
 public:
  Cutter() = default;  // size-only: views have shapes and no memory
  explicit Cutter(DeviceSpan span) : span_(span), counting_(false) {}

  DeviceSpan bytes(uint64_t count) {
    const uint64_t begin = used_;
    used_ += round_up(count, 64);
    if (counting_) return {DevicePtr(), count};
    WEIR_CHECK(used_ <= span_.bytes);
    return span_.part(begin, count);
  }
  template <class T>
  VecView<T> vec(int64_t size) {
    return {bytes(static_cast<uint64_t>(size) * sizeof(T)).data, size};
  }
  template <class T>
  MatView<T> mat(int64_t rows, int64_t cols) {
    return {bytes(static_cast<uint64_t>(rows * cols) * sizeof(T)).data, rows, cols, cols};
  }
  uint64_t used() const { return used_; }

 private:
  DeviceSpan span_;
  bool counting_ = true;
  uint64_t used_ = 0;
};

}  // namespace weir
