// OpsRig: a backend with memory and random data, for tests of Ops. Test code only.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "device/host/host_device.h"
#include "kernels/backend.h"

namespace weir {

// A tensor in device memory that remembers its region.
template <class T>
struct Held {
  Region region;
  int64_t rows = 0, cols = 0;
  T* data() { return host_ptr<T>(region.span().data); }
  MatView<T> mat() { return mat_view<T>(region.span(), rows, cols); }
  VecView<T> vec() { return vec_view<T>(region.span(), rows * cols); }
  std::vector<T> copy() { return std::vector<T>(data(), data() + rows * cols); }
};

class OpsRig {
 public:
  explicit OpsRig(const BackendOptions& options = {}, uint64_t seed = 1) : random_(seed) {
    auto backend = make_backend("cpu", options);
    WEIR_CHECK_MSG(backend.ok(), backend.status().message());
    backend_ = std::move(backend).value();
    stream_ = std::move(backend_->device().make_stream()).value();
  }
  Ops& ops() { return backend_->ops(); }
  Stream& stream() { return *stream_; }
  Backend& backend() { return *backend_; }

  template <class T>
  Held<T> make(int64_t rows, int64_t cols) {
    const uint64_t bytes = std::max<uint64_t>(1, static_cast<uint64_t>(rows * cols) * sizeof(T));
    return {std::move(backend_->device().reserve(bytes)).value(), rows, cols};
  }
  Held<float> random(int64_t rows, int64_t cols, float scale = 1.0f) {
    auto held = make<float>(rows, cols);
    std::normal_distribution<float> normal(0.0f, scale);
    for (int64_t i = 0; i < rows * cols; ++i) held.data()[i] = normal(random_);
    return held;
  }
  Held<int32_t> ints(const std::vector<int32_t>& values) {
    auto held = make<int32_t>(1, static_cast<int64_t>(values.size()));
    std::memcpy(held.data(), values.data(), values.size() * 4);
    return held;
  }
  Region workspace(int64_t rows, int64_t k) {
    return std::move(backend_->device().reserve(ops().linear_workspace_bytes(rows, k))).value();
  }

  // qkv_finish without q, norms and rotation: k and v as they are.
  void write_kv(MatView<float> k, MatView<const float> v, VecView<const int32_t> slots, const KvLayer& cache) {
    ops().qkv_finish(stream(), {.q = {k.data, k.rows, 0, 0}, .k = k, .v = v, .slots = slots, .cache = cache});
  }
  // Brings its own workspace. args.workspace stays empty.
  void attention(AttentionArgs args) {
    int64_t longest = 0;
    for (int64_t t = 0; t < args.positions.size; ++t) {
      longest = std::max(longest, int64_t{host_ptr<const int32_t>(args.positions.data)[t]} + 1);
    }
    Region scratch = std::move(backend_->device().reserve(ops().attention_workspace_bytes(
                                   args.q.rows, args.heads, args.cache.kv_heads, args.cache.head_dim, longest)))
                         .value();
    args.workspace = scratch.span();
    ops().attention(stream(), args);
  }

  struct Weight {
    Region region;
    PackedWeight packed;
  };
  Weight pack(WeightFormat format, Held<float>& source) {
    Weight weight;
    weight.region =
        std::move(backend_->device().reserve(ops().packed_bytes(format, source.rows, source.cols))).value();
    weight.packed = {format, source.rows, source.cols, weight.region.span()};
    ops().pack_rows(stream(), {source.data(), DType::kF32, 0, source.rows, weight.packed});
    return weight;
  }
  Weight pack_gate_up(WeightFormat format, Held<float>& gate, Held<float>& up) {
    const int64_t n = swiglu_rows(gate.rows);
    Weight weight;
    weight.region = std::move(backend_->device().reserve(ops().packed_bytes(format, n, gate.cols))).value();
    weight.packed = {format, n, gate.cols, weight.region.span()};
    using Part = PackRowsArgs::Part;
    ops().pack_rows(stream(), {gate.data(), DType::kF32, 0, gate.rows, weight.packed, Part::kGate, gate.rows});
    ops().pack_rows(stream(), {up.data(), DType::kF32, 0, gate.rows, weight.packed, Part::kUp, gate.rows});
    return weight;
  }
  std::vector<float> linear(const Weight& weight, MatView<const float> x, Held<float>* bias = nullptr) {
    auto out = make<float>(x.rows, weight.packed.n);
    Region scratch = workspace(x.rows, x.cols);
    ops().linear(stream(), {.x = x,
                            .weight = &weight.packed,
                            .bias = bias ? bias->vec() : VecView<float>{},
                            .out = out.mat(),
                            .workspace = scratch.span()});
    return out.copy();
  }

  std::vector<float> linear_of_norm(const Weight& weight, MatView<const float> x, Held<float>& norm) {
    auto out = make<float>(x.rows, weight.packed.n);
    Region scratch = workspace(x.rows, x.cols);
    ops().linear(stream(), {.x = x,
                            .weight = &weight.packed,
                            .out = out.mat(),
                            .norm = norm.vec(),
                            .norm_eps = 1e-5f,
                            .workspace = scratch.span()});
    return out.copy();
  }

  std::mt19937_64& random_engine() { return random_; }

 private:
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  std::mt19937_64 random_;
};

inline constexpr WeightFormat kAllFormats[] = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                               WeightFormat::kInt8G32, WeightFormat::kInt4G32, WeightFormat::kInt4G64,
                                               WeightFormat::kInt4ZG32, WeightFormat::kInt4ZG64};
inline constexpr KvFormat kAllKvFormats[] = {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16, KvFormat::kInt8,
                                             KvFormat::kInt4};

}  // namespace weir
