// VecView, MatView: shape and address of f32/i32/... data in device memory. They do not own, are cheap to copy,
// and cannot be dereferenced: only a backend's kernels may turn a DevicePtr into memory (device/device.h).
// Strides count elements. Any thread.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "device/device.h"

namespace weir {

// [size], contiguous.
template <class T>
struct VecView {
  DevicePtr data;
  int64_t size = 0;

  bool empty() const { return size == 0; }
  VecView part(int64_t begin, int64_t count) const {
    WEIR_CHECK(begin >= 0 && count >= 0 && begin + count <= size);
    return {data.plus(static_cast<uint64_t>(begin) * sizeof(T)), count};
  }
  operator VecView<const T>() const  // NOLINT: reading through a writable view is always fine
      requires(!std::is_const_v<T>) {
    return {data, size};
  }
};

// [rows, cols]; a row is contiguous, rows lie row_stride elements apart (row_stride >= cols).
template <class T>
struct MatView {
  DevicePtr data;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;

  MatView row_part(int64_t begin, int64_t count) const {
    WEIR_CHECK(begin >= 0 && count >= 0 && begin + count <= rows);
    return {data.plus(static_cast<uint64_t>(begin * row_stride) * sizeof(T)), count, cols, row_stride};
  }
  MatView col_part(int64_t begin, int64_t count) const {
    WEIR_CHECK(begin >= 0 && count >= 0 && begin + count <= cols);
    return {data.plus(static_cast<uint64_t>(begin) * sizeof(T)), rows, count, row_stride};
  }
  operator MatView<const T>() const  // NOLINT: see above
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, row_stride};
  }
};

// The usual way to cut views out of a span: CHECKs that they fit.
template <class T>
VecView<T> vec_view(DeviceSpan span, int64_t size) {
  WEIR_CHECK(size >= 0 && static_cast<uint64_t>(size) * sizeof(T) <= span.bytes);
  return {span.data, size};
}
template <class T>
MatView<T> mat_view(DeviceSpan span, int64_t rows, int64_t cols) {
  WEIR_CHECK(rows >= 0 && cols >= 0 && static_cast<uint64_t>(rows * cols) * sizeof(T) <= span.bytes);
  return {span.data, rows, cols, cols};
}

}  // namespace weir
