#include "model/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

#include "base/check.h"
#include "tensor/convert.h"

namespace weir {
namespace {

// Rows read and packed between two looks at the progress line; a row has no more (2^20 numbers of 4 bytes).
constexpr uint64_t kPieceBytes = 4u << 20;
// What one worker reads of a piece at a time: enough of them for all, and few system calls.
constexpr uint64_t kSliceBytes = 256u << 10;
// Two pieces: the disk is busy while the workers are, also where a tensor ends.
constexpr uint64_t kAheadBytes = 2 * kPieceBytes;

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

// A tensor of the checkpoint and its place: rows of a matrix from `begin` on, or numbers of a vector.
struct Job {
  const StoredTensor* tensor = nullptr;
  DType dtype = DType::kF32;
  PackedWeight matrix;  // matrix.n == 0: a vector
  VecView<float> vector;
  int64_t begin = 0;
  Part part = Part::kWhole;
};

// What is to be done, in any order. Names that the family lacks are never asked for.
class Jobs {
 public:
  Jobs(const ModelSpec& spec, const Checkpoint& checkpoint) : spec_(spec), checkpoint_(checkpoint) {}

  // Rows of the named tensor become rows [begin, ...) of dst, or its gate or up.
  void matrix(const std::string& name, const PackedWeight& dst, int64_t begin, Part part = Part::kWhole) {
    list_.push_back({.tensor = find(name, 2), .dtype = {}, .matrix = dst, .vector = {}, .begin = begin, .part = part});
  }
  // The named vector, as f32, becomes dst[begin, ...), or its gate or up: pieces of 16 in turn, as the rows.
  void vector(const std::string& name, VecView<float> dst, int64_t begin, Part part = Part::kWhole) {
    list_.push_back({.tensor = find(name, 1), .dtype = {}, .matrix = {}, .vector = dst, .begin = begin, .part = part});
  }

  // In the order of the files, with their dtypes.
  Result<std::vector<Job>> sorted() && {
    for (Job& job : list_) {
      WEIR_ASSIGN_OR_RETURN(job.dtype, weight_dtype(*job.tensor));
    }
    std::sort(list_.begin(), list_.end(), [](const Job& a, const Job& b) {
      if (a.tensor->file != b.tensor->file) return a.tensor->file < b.tensor->file;
      return a.tensor->offset < b.tensor->offset;
    });
    return std::move(list_);
  }

 private:
  const StoredTensor* find(const std::string& name, size_t dims) const {
    const StoredTensor* tensor = resolve(spec_, checkpoint_, name);
    WEIR_CHECK_MSG(tensor != nullptr && tensor->shape.size() == dims, name);
    return tensor;
  }

  const ModelSpec& spec_;
  const Checkpoint& checkpoint_;
  std::vector<Job> list_;
};

// Does the jobs and keeps count for the progress line.
class Filler {
 public:
  Filler(const Checkpoint& checkpoint, Backend& backend, Stream& stream,
         const std::function<void(double)>& progress)
      : checkpoint_(checkpoint),
        backend_(backend),
        device_(backend.device()),
        stream_(stream),
        progress_(progress) {}

  Status run(const std::vector<Job>& jobs) {
    for (const Job& job : jobs) bytes_all_ += job.tensor->bytes;
    for (const Job& job : jobs) WEIR_RETURN_IF_ERROR(job.matrix.n > 0 ? matrix(job) : vector(job));
    return checkpoint_.check_files();
  }

 private:
  Status matrix(const Job& job) {
    const StoredTensor& tensor = *job.tensor;
    const int64_t rows = tensor.shape[0];
    const uint64_t row_bytes = tensor.bytes / static_cast<uint64_t>(rows);
    const int64_t piece = std::max<int64_t>(1, static_cast<int64_t>(kPieceBytes / std::max<uint64_t>(row_bytes, 1)));
    for (int64_t row = 0; row < rows; row += piece) {
      const int64_t count = std::min(piece, rows - row);
      WEIR_RETURN_IF_ERROR(
          read(tensor, static_cast<uint64_t>(row) * row_bytes, static_cast<uint64_t>(count) * row_bytes));
      backend_.ops().pack_rows(stream_, {.rows = piece_.data(),
                                         .dtype = job.dtype,
                                         .row_begin = job.begin + row,
                                         .row_count = count,
                                         .dst = job.matrix,
                                         .part = job.part,
                                         .rows_all = rows});
      WEIR_RETURN_IF_ERROR(device_.synchronize(stream_));
      done(piece_.size());
    }
    return ok_status();
  }

  Status vector(const Job& job) {
    const StoredTensor& tensor = *job.tensor;
    const int64_t size = tensor.shape[0];
    WEIR_RETURN_IF_ERROR(read(tensor, 0, tensor.bytes));
    std::vector<float> values(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) {
      values[static_cast<size_t>(i)] = element_as_f32(piece_, job.dtype, static_cast<size_t>(i));
      if (!std::isfinite(values[static_cast<size_t>(i)])) {
        return data_loss("tensor " + tensor.name + " holds a value that is not finite at index " + std::to_string(i) +
                         "; the file is damaged, download it again");
      }
    }
    const bool whole = job.part == Part::kWhole;
    const int64_t piece = whole ? size : kPanelRows;
    for (int64_t i = 0; i < size; i += piece) {
      const int64_t count = std::min(piece, size - i);
      const int64_t at = whole ? job.begin : 2 * i + (job.part == Part::kUp ? kPanelRows : 0);
      device_.copy_to_device(stream_, job.vector.part(at, count).data, values.data() + i,
                             static_cast<size_t>(count) * sizeof(float));
    }
    WEIR_RETURN_IF_ERROR(device_.synchronize(stream_));
    done(tensor.bytes);
    return ok_status();
  }

  // Fills piece_ with a part of the tensor, by all workers: copying from the page cache costs one of them as much
  // as packing.
  Status read(const StoredTensor& tensor, uint64_t from, uint64_t bytes) {
    const WeightFile& file = checkpoint_.file_of(tensor);
    const uint64_t offset = tensor.offset + from;
    file.read_ahead(offset + bytes, kAheadBytes);
    if (buffer_.size() < bytes) buffer_.resize(bytes);
    piece_ = std::span(buffer_).first(bytes);
    std::atomic<bool> whole{true};
    backend_.parallel_for(static_cast<int64_t>((bytes + kSliceBytes - 1) / kSliceBytes), [&](int64_t index) {
      const uint64_t begin = static_cast<uint64_t>(index) * kSliceBytes;
      const auto slice = piece_.subspan(begin, std::min(kSliceBytes, bytes - begin));
      if (!file.try_read(offset + begin, slice)) whole.store(false, std::memory_order_relaxed);
    });
    return whole.load() ? ok_status() : checkpoint_.read(tensor, from, piece_);
  }

  void done(uint64_t bytes) {
    bytes_done_ += bytes;
    if (progress_) progress_(static_cast<double>(bytes_done_) / static_cast<double>(bytes_all_));
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  Device& device_;
  Stream& stream_;
  const std::function<void(double)>& progress_;
  std::vector<std::byte> buffer_;
  std::span<std::byte> piece_;  // of the checkpoint, in the buffer
  uint64_t bytes_all_ = 0, bytes_done_ = 0;
};

void add_layer(const ModelSpec& spec, int64_t index, const LayerWeights& w, Jobs* jobs) {
  const auto name = [index](const char* rest) { return layer_name(index, rest); };
  const int64_t q = spec.q_width(), kv = spec.kv_width();
  jobs->vector(name("input_layernorm.weight"), w.attention_norm, 0);
  jobs->vector(name("post_attention_layernorm.weight"), w.ffn_norm, 0);
  jobs->matrix(name("self_attn.q_proj.weight"), w.qkv, 0);
  jobs->matrix(name("self_attn.k_proj.weight"), w.qkv, q);
  jobs->matrix(name("self_attn.v_proj.weight"), w.qkv, q + kv);
  jobs->matrix(name("self_attn.o_proj.weight"), w.output, 0);
  jobs->matrix(name("mlp.gate_proj.weight"), w.gate_up, 0, Part::kGate);
  jobs->matrix(name("mlp.up_proj.weight"), w.gate_up, 0, Part::kUp);
  jobs->matrix(name("mlp.down_proj.weight"), w.down, 0);
  if (spec.qkv_bias) {
    jobs->vector(name("self_attn.q_proj.bias"), w.qkv_bias, 0);
    jobs->vector(name("self_attn.k_proj.bias"), w.qkv_bias, q);
    jobs->vector(name("self_attn.v_proj.bias"), w.qkv_bias, q + kv);
  }
  if (spec.o_bias) jobs->vector(name("self_attn.o_proj.bias"), w.output_bias, 0);
  if (spec.mlp_bias) {
    jobs->vector(name("mlp.gate_proj.bias"), w.gate_up_bias, 0, Part::kGate);
    jobs->vector(name("mlp.up_proj.bias"), w.gate_up_bias, 0, Part::kUp);
    jobs->vector(name("mlp.down_proj.bias"), w.down_bias, 0);
  }
  if (spec.qk_norm) {
    jobs->vector(name("self_attn.q_norm.weight"), w.q_norm, 0);
    jobs->vector(name("self_attn.k_norm.weight"), w.k_norm, 0);
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
  weights.stored_bytes = cutter->used();
  weights.rope_cos = cutter->mat<float>(options.session_tokens, spec.head_dim / 2);
  weights.rope_sin = cutter->mat<float>(options.session_tokens, spec.head_dim / 2);
  return weights;
}

Status fill_weights(const ModelSpec& spec, const Checkpoint& checkpoint, Backend& backend, Stream& stream,
                    const std::function<void(double)>& progress, Weights* weights) {
  Jobs jobs(spec, checkpoint);
  for (int64_t i = 0; i < spec.layers; ++i) add_layer(spec, i, weights->layers[static_cast<size_t>(i)], &jobs);
  jobs.vector("model.norm.weight", weights->final_norm, 0);
  jobs.matrix(std::string(kHeadTensor), weights->head, 0);
  if (!spec.tie_embeddings) jobs.matrix(std::string(kEmbedTensor), weights->embedding, 0);
  WEIR_ASSIGN_OR_RETURN(const std::vector<Job> sorted, std::move(jobs).sorted());
  return Filler(checkpoint, backend, stream, progress).run(sorted);
}

// Angles are position x inverse frequency in f32, as transformers computes them; cos and sin of that f32 number.
void fill_tables(const ModelSpec& spec, Device& device, Stream& stream, Weights* weights) {
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
    const uint64_t bytes = inverse.size() * sizeof(float);
    device.copy_to_device(stream, weights->rope_cos.row_part(position, 1).data, cos_row.data(), bytes);
    device.copy_to_device(stream, weights->rope_sin.row_part(position, 1).data, sin_row.data(), bytes);
    WEIR_CHECK(device.synchronize(stream).ok());
  }
}

}  // namespace weir
