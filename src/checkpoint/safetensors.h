// Checkpoint: the weights of a model directory, mapped read-only: model.safetensors, or the shards that
// model.safetensors.index.json names.
//
// Owner: whoever loads the model; read-only after open(), so any thread. At most 1024 shards; headers capped as in
// safetensors_header.h. It never writes, never follows an index out of its directory, and never trusts a number
// that it has not compared with the file's size. A file that shrinks while mapped faults with SIGBUS: see
// mapped_file.h, and call check_files() just before copying.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/model_spec.h"
#include "checkpoint/safetensors_header.h"

namespace weir {

// Owns its name and shape; bytes point into the mapping and live as long as the Checkpoint.
struct TensorView {
  std::string name;
  StoredDType dtype = StoredDType::kU8;
  std::vector<int64_t> shape;        // outermost first, row-major
  std::span<const std::byte> bytes;  // may start at any address: copy with memcpy, never cast
  uint32_t file = 0;                 // which shard, in the order of names
};

// ERRORS: kUnimplemented when the tensor's dtype is not f32, f16 or bf16.
Result<DType> weight_dtype(const TensorView& tensor);

class Checkpoint {
 public:
  // ERRORS: kNotFound without either file; kDataLoss for damaged or lying files, naming file and tensor;
  // kInvalidArgument for an index that is no index or points outside the directory; those of mapped_file.h.
  static Result<std::unique_ptr<Checkpoint>> open(const std::string& model_dir);

  const TensorView* find(std::string_view name) const;              // null when absent
  std::span<const TensorView> tensors() const { return tensors_; }  // sorted by name
  uint64_t file_bytes() const;                                      // all shards together

  // ERRORS: kDataLoss when a file changed its size since open().
  Status check_files() const;
  std::span<const std::unique_ptr<MappedFile>> files() const { return files_; }  // by TensorView::file
  // Takes the pages of part of a tensor out of the resident size; a loader calls it behind its read position.
  // REQUIRES: part lies inside one tensor's bytes.
  void drop_pages(std::span<const std::byte> part) const;
  // Has the kernel read so many bytes of the file that follow `part` while somebody works on `part`.
  void read_ahead_of(std::span<const std::byte> part, uint64_t bytes) const;

 private:
  Checkpoint() = default;
  Status add_file(const std::string& path);
  Status add_shards(const std::string& model_dir);
  const MappedFile& file_of(std::span<const std::byte> part) const;
  Status index_tensors();  // sorts; two tensors of one name are an error

  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<TensorView> tensors_;
};

// The tensor that stands for `name`. Where embeddings are tied, the embedding and the output head are one matrix,
// stored under either name; stored under both, model.embed_tokens.weight wins, as in transformers.
// RETURNS: null when neither is stored.
const TensorView* resolve(const ModelSpec& spec, const Checkpoint& checkpoint, std::string_view name);

// Every tensor of tensors_of(spec) is there, has its shape and a readable dtype; and the file has no other
// tensors (save the derived rotary_emb.inv_freq), for a bias or a layer that the config does not know would be
// left out of the answer in silence.
// ERRORS: kDataLoss, kUnimplemented (dtype): one line with the tensor's name, expected and found.
Status check_tensors(const ModelSpec& spec, const Checkpoint& checkpoint);

}  // namespace weir
