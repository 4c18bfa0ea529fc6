// Checkpoint: the weights of a model directory: model.safetensors, or the shards that model.safetensors.index.json
// names.
//
// Owner: the loader of the model; read-only after open(), so any thread. At most 1024 shards; headers capped as in
// safetensors_header.h. It never writes, never follows an index out of its directory, and never trusts a number
// that it has not compared with the file's size. Files stay open and nothing is mapped: a file that shrinks or is
// written to is an error of read() or check_files(), see weight_file.h.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/weight_file.h"

namespace weir {

// Where one tensor is stored. A value.
struct StoredTensor {
  std::string name;
  StoredDType dtype = StoredDType::kU8;
  std::vector<int64_t> shape;  // outermost first, row-major
  uint32_t file = 0;           // which shard, in the order of names
  uint64_t offset = 0;         // of its first byte in the file
  uint64_t bytes = 0;
};

// ERRORS: kUnimplemented when the tensor's dtype is not f32, f16 or bf16.
Result<DType> weight_dtype(const StoredTensor& tensor);

// The front of a file: its length field and its header. ERRORS: those of WeightFile::read().
Result<std::vector<std::byte>> read_header(const WeightFile& file);

class Checkpoint {
 public:
  // ERRORS: kNotFound without either file; kDataLoss for damaged or lying files, naming file and tensor;
  // kInvalidArgument for an index that is no index or points outside the directory; those of weight_file.h.
  static Result<std::unique_ptr<Checkpoint>> open(const std::string& model_dir);

  const StoredTensor* find(std::string_view name) const;              // null when absent
  std::span<const StoredTensor> tensors() const { return tensors_; }  // sorted by name
  uint64_t file_bytes() const;                                      // all shards together

  // ERRORS: kDataLoss when a file changed its size since open(), or was written to.
  Status check_files() const;
  std::span<const std::unique_ptr<WeightFile>> files() const { return files_; }  // by StoredTensor::file
  const WeightFile& file_of(const StoredTensor& tensor) const { return *files_[tensor.file]; }
  // Fills `into` with the tensor's bytes from byte `from` on. REQUIRES: from + into.size() <= tensor.bytes.
  // ERRORS: those of WeightFile::read().
  Status read(const StoredTensor& tensor, uint64_t from, std::span<std::byte> into) const;

 private:
  Checkpoint() = default;
  Status add_file(const std::string& path);
  Status add_shards(const std::string& model_dir);
  Status index_tensors();  // sorts; two tensors of one name are an error

  std::vector<std::unique_ptr<WeightFile>> files_;
  std::vector<StoredTensor> tensors_;
};

// The tensor that stands for `name`. Where embeddings are tied, the embedding and the output head are one matrix,
// stored under either name; stored under both, model.embed_tokens.weight wins, as in transformers.
// RETURNS: null when neither is stored.
const StoredTensor* resolve(const ModelSpec& spec, const Checkpoint& checkpoint, std::string_view name);

// Every tensor of tensors_of(spec) is there, has its shape and a readable dtype; and the file has no other
// tensors (save the derived rotary_emb.inv_freq), for a bias or a layer that the config does not know would be
// left out of the answer in silence.
// ERRORS: kDataLoss, kUnimplemented (dtype): one line with the tensor's name, expected and found.
Status check_tensors(const ModelSpec& spec, const Checkpoint& checkpoint);

}  // namespace weir
