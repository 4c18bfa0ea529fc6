// What the config promises against what the files hold.
#include <fmt/format.h>

#include <algorithm>

#include "checkpoint/printable.h"
#include "checkpoint/safetensors.h"

namespace weir {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

Status missing(const ModelSpec& spec, const TensorNeed& need) {
  const bool head = need.name == kHeadTensor && !spec.tie_embeddings;
  return data_loss(fmt::format("tensor '{}' {} is missing{}", need.name, shape_text(need.shape),
                               head ? "; config.json says 'tie_word_embeddings' is false" : ""));
}

Status check_one(const ModelSpec& spec, const TensorNeed& need, const Checkpoint& checkpoint) {
  // An optional tensor that is stored is held to its own shape, though another stands for it.
  const StoredTensor* found = checkpoint.find(need.name);
  if (found == nullptr) found = resolve(spec, checkpoint, need.name);
  if (found == nullptr) return missing(spec, need);
  if (found->shape != need.shape) {
    return data_loss(fmt::format("tensor '{}' has the shape {} and config.json needs {}", found->name,
                                 shape_text(found->shape), shape_text(need.shape)));
  }
  return weight_dtype(*found).status();
}

bool derived(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

Status check_nothing_else(const std::vector<TensorNeed>& needs, const Checkpoint& checkpoint) {
  std::vector<std::string_view> known;
  for (const TensorNeed& need : needs) known.push_back(need.name);
  std::sort(known.begin(), known.end());
  for (const StoredTensor& tensor : checkpoint.tensors()) {
    if (derived(tensor.name) || std::binary_search(known.begin(), known.end(), std::string_view(tensor.name)))
      continue;
    return data_loss(fmt::format("tensor '{}' {} has no place in the model that config.json describes",
                                 printable(tensor.name), shape_text(tensor.shape)));
  }
  return ok_status();
}

}  // namespace

const StoredTensor* resolve(const ModelSpec& spec, const Checkpoint& checkpoint, std::string_view name) {
  if (!spec.tie_embeddings || (name != kEmbedTensor && name != kHeadTensor)) return checkpoint.find(name);
  const StoredTensor* embedding = checkpoint.find(kEmbedTensor);
  return embedding != nullptr ? embedding : checkpoint.find(kHeadTensor);
}

Status check_tensors(const ModelSpec& spec, const Checkpoint& checkpoint) {
  const std::vector<TensorNeed> needs = tensors_of(spec);
  for (const TensorNeed& need : needs) WEIR_RETURN_IF_ERROR(check_one(spec, need, checkpoint));
  return check_nothing_else(needs, checkpoint);
}

}  // namespace weir
