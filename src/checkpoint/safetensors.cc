#include "checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "checkpoint/printable.h"
#include "checkpoint/shard_index.h"

namespace weir {
namespace {

constexpr const char* kSingleFile = "/model.safetensors";
constexpr const char* kIndexFile = "/model.safetensors.index.json";

// The index must say of every tensor where it is, and nothing else: a loader that believes one side only would
// read other weights than the next loader.
Status compare_with_index(const ShardIndex& index, const Checkpoint& checkpoint) {
  const auto owner = [&](uint32_t file) { return index.files[file]; };
  auto entry = index.entries.begin();
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (entry == index.entries.end() || tensor.name < entry->tensor) {
      return data_loss(
          fmt::format("tensor '{}' is in {} and not in the index", printable(tensor.name), owner(tensor.file)));
    }
    if (entry->tensor < tensor.name) break;
    if (entry->file != tensor.file) {
      return data_loss(fmt::format("tensor '{}' is in {} and the index says {}", printable(tensor.name),
                                   owner(tensor.file), owner(entry->file)));
    }
    ++entry;
  }
  if (entry == index.entries.end()) return ok_status();
  return data_loss(fmt::format("tensor '{}' is missing from {}", printable(entry->tensor), owner(entry->file)));
}

}  // namespace

Result<DType> weight_dtype(const StoredTensor& tensor) {
  switch (tensor.dtype) {
    case StoredDType::kF32:
      return DType::kF32;
    case StoredDType::kF16:
      return DType::kF16;
    case StoredDType::kBF16:
      return DType::kBF16;
    default:
      break;
  }
  return Status(Code::kUnimplemented, fmt::format("tensor '{}' is stored as {}; weights must be F32, F16 or BF16",
                                                  printable(tensor.name), stored_dtype_name(tensor.dtype)));
}

Result<std::vector<std::byte>> read_header(const WeightFile& file) {
  std::vector<std::byte> front(std::min<uint64_t>(sizeof(uint64_t), file.bytes()));
  WEIR_RETURN_IF_ERROR(file.read(0, front));
  front.resize(header_end(front, file.bytes()));
  WEIR_RETURN_IF_ERROR(file.read(0, front));
  return front;
}

Status Checkpoint::add_file(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<WeightFile> file, WeightFile::open(path));
  WEIR_ASSIGN_OR_RETURN(const std::vector<std::byte> front, read_header(*file));
  Result<std::vector<TensorEntry>> entries = parse_header(front, file->bytes());
  if (!entries.ok()) return entries.status().with_prefix(path);
  const auto position = static_cast<uint32_t>(files_.size());
  for (TensorEntry& entry : *entries) {
    tensors_.push_back({.name = std::move(entry.name),
                        .dtype = entry.dtype,
                        .shape = std::move(entry.shape),
                        .file = position,
                        .offset = entry.begin,
                        .bytes = entry.end - entry.begin});
  }
  files_.push_back(std::move(file));
  return ok_status();
}

Status Checkpoint::index_tensors() {
  std::sort(tensors_.begin(), tensors_.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
  const auto twice =
      std::adjacent_find(tensors_.begin(), tensors_.end(),
                         [](const StoredTensor& a, const StoredTensor& b) { return a.name == b.name; });
  if (twice == tensors_.end()) return ok_status();
  return data_loss(fmt::format("tensor '{}' is in two shards", printable(twice->name)));
}

Status Checkpoint::add_shards(const std::string& model_dir) {
  const std::string index_path = model_dir + kIndexFile;
  const Result<ShardIndex> index = load_shard_index(index_path);
  if (index.status().code() == Code::kNotFound) {
    return not_found(
        fmt::format("{}: has neither model.safetensors nor model.safetensors.index.json; convert other "
                    "formats to safetensors first",
                    model_dir));
  }
  if (!index.ok()) return index.status();
  for (const std::string& file : index->files) WEIR_RETURN_IF_ERROR(add_file(model_dir + "/" + file));
  Status status = index_tensors();
  if (status.ok()) status = compare_with_index(*index, *this);
  return status.ok() ? status : status.with_prefix(index_path);
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::open(const std::string& model_dir) {
  std::unique_ptr<Checkpoint> out(new Checkpoint);
  Status status = out->add_file(model_dir + kSingleFile);
  if (status.ok()) status = out->index_tensors();
  if (status.code() == Code::kNotFound) status = out->add_shards(model_dir);
  if (!status.ok()) return status;
  return out;
}

const StoredTensor* Checkpoint::find(std::string_view name) const {
  const auto at =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const StoredTensor& tensor, std::string_view want) { return tensor.name < want; });
  return at == tensors_.end() || at->name != name ? nullptr : &*at;
}

uint64_t Checkpoint::file_bytes() const {
  uint64_t total = 0;
  for (const auto& file : files_) total += file->bytes();
  return total;
}

Status Checkpoint::check_files() const {
  for (const auto& file : files_) WEIR_RETURN_IF_ERROR(file->check_unchanged());
  return ok_status();
}

Status Checkpoint::read(const StoredTensor& tensor, uint64_t from, std::span<std::byte> into) const {
  WEIR_CHECK(from <= tensor.bytes && into.size() <= tensor.bytes - from);
  return file_of(tensor).read(tensor.offset + from, into);
}

}  // namespace weir
