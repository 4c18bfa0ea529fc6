#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/check.h"
#include "tensor/convert.h"

namespace weir {
namespace {

// Rows packed between two looks at the progress line; small enough that their file pages are a rounding error.
constexpr uint64_t kPieceBytes = 4u << 20;

using Part = PackRowsArgs::Part;
constexpr int64_t kPanelRows = swiglu_rows(1) / 2;

std::string layer_name(int64_t layer, const char* rest) {
  return "model.layers." + std::to_string(layer) + "." + rest;
}

float element_as_f32(std::span<const std::byte> bytes, DType dtype, size_t index) {
  const std::byte* at = bytes.data() + index * dtype_bytes(dtype);
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return dtype == DType::kBF16 ? f32_from_bf16(half) : f32_from_f16(half);
}

// Cuts matrices and vectors out of the weight region.
struct WeightCutter {
  const ModelOptions& options;
  const Ops& ops;
  Cutter* cutter;

  PackedWeight matrix(int64_t n, int64_t k, WeightFormat format) const {
    return {.format = format, .n = n, .k = k, .data = cutter->bytes(ops.packed_bytes(format, n, k))};
  }
  PackedWeight matrix(int64_t n, int64_t k) const { return matrix(n, k, options.format); }
  VecView<float> bias(bool present, int64_t n) const { return present ? cutter->vec<float>(n) : VecView<float>{}; }
};

LayerWeights cut_layer(const ModelSpec& spec, const WeightCutter& cut) {
  LayerWeights w;
  w.attention_norm = cut.cutter->vec<float>(spec.hidden);
  w.ffn_norm = cut.cutter->vec<float>(spec.hidden);
  w.q_norm = cut.bias(spec.qk_norm, spec.head_dim);
  w.k_norm = cut.bias(spec.qk_norm, spec.head_dim);
  const int64_t qkv = spec.q_width() + 2 * spec.kv_width();
  w.qkv = cut.matrix(qkv, spec.hidden);
  w.output = cut.matrix(spec.hidden, spec.q_width());
  w.gate_up = cut.matrix(swiglu_rows(spec.ffn), spec.hidden);
  w.down = cut.matrix(spec.hidden, spec.ffn);
  w.qkv_bias = cut.bias(spec.qkv_bias, qkv);
  w.output_bias = cut.bias(spec.o_bias, spec.hidden);
  w.gate_up_bias = cut.bias(spec.mlp_bias, swiglu_rows(spec.ffn));
  w.down_bias = cut.bias(spec.mlp_bias, spec.hidden);
  return w;
}

// Copies tensors of the checkpoint to the device and keeps count for the progress line.
class Filler {
 public:
  Filler(const ModelSpec& spec, Checkpoint& checkpoint, Device& device, Ops& ops, Stream& stream, const std::function<void(double)>& progress,
         uint64_t bytes_all)
      : spec_(spec), checkpoint_(checkpoint), device_(device), ops_(ops), stream_(stream), progress_(progress),
        bytes_all_(std::max<uint64_t>(bytes_all, 1)) {}

  // Rows of the named tensor become rows [row_begin, ...) of dst, or its gate or up.
  Status matrix(const std::string& name, const PackedWeight& dst, int64_t row_begin, Part part = Part::kWhole) {
    const TensorView* tensor = resolve(spec_, checkpoint_, name);
    WEIR_CHECK_MSG(tensor != nullptr && tensor->shape.size() == 2, name);
    WEIR_ASSIGN_OR_RETURN(const DType dtype, weight_dtype(*tensor));
    const int64_t rows = tensor->shape[0];
    const uint64_t row_bytes = tensor->bytes.size() / static_cast<uint64_t>(rows);
    const int64_t piece = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / std::max<uint64_t>(row_bytes, 1)));
    for (int64_t row = 0; row < rows; row += piece) {
      const int64_t count = std::min(piece, rows - row);
      const auto bytes = tensor->bytes.subspan(static_cast<uint64_t>(row) * row_bytes,
                                               static_cast<uint64_t>(count) * row_bytes);
      ops_.pack_rows(stream_, {.rows = bytes.data(), .dtype = dtype, .row_begin = row_begin + row,
                               .row_count = count, .dst = dst, .part = part, .rows_all = rows});
      WEIR_RETURN_IF_ERROR(device_.synchronize(stream_));
      done(bytes);
    }
    return ok_status();
  }

  // The named vector, as f32, becomes dst[begin, ...), or its gate or up: pieces of 16 in turn, as the rows.
  Status vector(const std::string& name, VecView<float> dst, int64_t begin, Part part = Part::kWhole) {
    const TensorView* tensor = resolve(spec_, checkpoint_, name);
    WEIR_CHECK_MSG(tensor != nullptr && tensor->shape.size() == 1, name);
    WEIR_ASSIGN_OR_RETURN(const DType dtype, weight_dtype(*tensor));
    const int64_t size = tensor->shape[0];
    std::vector<float> values(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) {
      values[static_cast<size_t>(i)] = element_as_f32(tensor->bytes, dtype, static_cast<size_t>(i));
      if (!std::isfinite(values[static_cast<size_t>(i)])) {
        return data_loss("tensor " + name + " holds a value that is not finite at index " + std::to_string(i) +
                         "; the file is damaged, download it again");
      }
    }
    const int64_t piece = part == Part::kWhole ? size : kPanelRows;
    for (int64_t i = 0; i < size; i += piece) {
      const int64_t count = std::min(piece, size - i);
      const int64_t at = part == Part::kWhole ? begin : 2 * i + (part == Part::kUp ? kPanelRows : 0);
      device_.copy_to_device(stream_, dst.part(at, count).data, values.data() + i,
                             static_cast<size_t>(count) * sizeof(float));
    }
    WEIR_RETURN_IF_ERROR(device_.synchronize(stream_));
    done(tensor->bytes);
    return ok_status();
  }

  void table(MatView<float> dst, const std::vector<float>& values) {
    device_.copy_to_device(stream_, dst.data, values.data(), values.size() * sizeof(float));
    WEIR_CHECK(device_.synchronize(stream_).ok());
  }

 private:
  void done(std::span<const std::byte> bytes) {
    checkpoint_.drop_pages(bytes);
    bytes_done_ += bytes.size();
    if (progress_) progress_(std::min(1.0, static_cast<double>(bytes_done_) / static_cast<double>(bytes_all_)));
  }

  const ModelSpec& spec_;
  Checkpoint& checkpoint_;
  Device& device_;
  Ops& ops_;
  Stream& stream_;
  const std::function<void(double)>& progress_;
  const uint64_t bytes_all_;
  uint64_t bytes_done_ = 0;
};

Status fill_layer(const ModelSpec& spec, int64_t index, Filler& filler, LayerWeights* w) {
  const auto name = [index](const char* rest) { return layer_name(index, rest); };
  const int64_t q = spec.q_width(), kv = spec.kv_width();
  WEIR_RETURN_IF_ERROR(filler.vector(name("input_layernorm.weight"), w->attention_norm, 0));
  WEIR_RETURN_IF_ERROR(filler.vector(name("post_attention_layernorm.weight"), w->ffn_norm, 0));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("self_attn.q_proj.weight"), w->qkv, 0));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("self_attn.k_proj.weight"), w->qkv, q));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("self_attn.v_proj.weight"), w->qkv, q + kv));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("self_attn.o_proj.weight"), w->output, 0));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("mlp.gate_proj.weight"), w->gate_up, 0, Part::kGate));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("mlp.up_proj.weight"), w->gate_up, 0, Part::kUp));
  WEIR_RETURN_IF_ERROR(filler.matrix(name("mlp.down_proj.weight"), w->down, 0));
  if (spec.qkv_bias) {
    WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.q_proj.bias"), w->qkv_bias, 0));
    WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.k_proj.bias"), w->qkv_bias, q));
    WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.v_proj.bias"), w->qkv_bias, q + kv));
  }
  if (spec.o_bias) WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.o_proj.bias"), w->output_bias, 0));
  if (spec.mlp_bias) {
    WEIR_RETURN_IF_ERROR(filler.vector(name("mlp.gate_proj.bias"), w->gate_up_bias, 0, Part::kGate));
    WEIR_RETURN_IF_ERROR(filler.vector(name("mlp.up_proj.bias"), w->gate_up_bias, 0, Part::kUp));
    WEIR_RETURN_IF_ERROR(filler.vector(name("mlp.down_proj.bias"), w->down_bias, 0));
  }
  if (spec.qk_norm) {
    WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.q_norm.weight"), w->q_norm, 0));
    WEIR_RETURN_IF_ERROR(filler.vector(name("self_attn.k_norm.weight"), w->k_norm, 0));
  }
  return ok_status();
}

// Angles are position x inverse frequency in f32, as transformers computes them; cos and sin of that f32 number.
void fill_rope(const ModelSpec& spec, Filler& filler, Weights* weights) {
  const std::vector<float> inverse = rope_inverse_frequencies(spec);
  const auto half = static_cast<int64_t>(inverse.size());
  const int64_t positions = weights->rope_cos.rows;
  WEIR_CHECK(half == weights->rope_cos.cols);
  std::vector<float> cos_row(inverse.size()), sin_row(inverse.size());
  for (int64_t position = 0; position < positions; ++position) {
    for (size_t i = 0; i < inverse.size(); ++i) {
      const float angle = static_cast<float>(position) * inverse[i];
      cos_row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_row[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
    filler.table(weights->rope_cos.row_part(position, 1), cos_row);
    filler.table(weights->rope_sin.row_part(position, 1), sin_row);
  }
}

}  // namespace

WeightFormat embedding_format(const ModelSpec& spec, WeightFormat format) {
  if (!weight_is_quantised(format)) return format;
  return spec.file_dtype == DType::kF16 ? WeightFormat::kF16 : WeightFormat::kBF16;
}

Weights cut_weights(const ModelSpec& spec, const ModelOptions& options, const Ops& ops, Cutter* cutter) {
  const WeightCutter cut{options, ops, cutter};
  Weights weights;
  weights.layers.reserve(static_cast<size_t>(spec.layers));
  for (int64_t i = 0; i < spec.layers; ++i) weights.layers.push_back(cut_layer(spec, cut));
  weights.head = cut.matrix(spec.vocab, spec.hidden);
  weights.embedding = spec.tie_embeddings
                          ? weights.head
                          : cut.matrix(spec.vocab, spec.hidden, embedding_format(spec, options.format));
  weights.final_norm = cutter->vec<float>(spec.hidden);
  weights.rope_cos = cutter->mat<float>(options.session_tokens, spec.head_dim / 2);
  weights.rope_sin = cutter->mat<float>(options.session_tokens, spec.head_dim / 2);
  return weights;
}

Status fill_weights(const ModelSpec& spec, Checkpoint& checkpoint, Device& device, Ops& ops, Stream& stream,
                    const std::function<void(double)>& progress, Weights* weights) {
  uint64_t bytes_all = 0;
  for (const TensorNeed& need : tensors_of(spec)) {
    const TensorView* tensor = need.optional ? nullptr : resolve(spec, checkpoint, need.name);
    if (tensor) bytes_all += tensor->bytes.size();
  }
  Filler filler(spec, checkpoint, device, ops, stream, progress, bytes_all);
  fill_rope(spec, filler, weights);
  for (int64_t i = 0; i < spec.layers; ++i) {
    WEIR_RETURN_IF_ERROR(fill_layer(spec, i, filler, &weights->layers[static_cast<size_t>(i)]));
  }
  WEIR_RETURN_IF_ERROR(filler.vector("model.norm.weight", weights->final_norm, 0));
  WEIR_RETURN_IF_ERROR(filler.matrix(std::string(kHeadTensor), weights->head, 0));
  if (!spec.tie_embeddings) {
    WEIR_RETURN_IF_ERROR(filler.matrix(std::string(kEmbedTensor), weights->embedding, 0));
  }
  return ok_status();
}

}  // namespace weir
