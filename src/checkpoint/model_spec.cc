#include "checkpoint/model_spec.h"

#include "base/files.h"
#include <fmt/format.h>

#include <cmath>

namespace weir {
namespace {

constexpr uint64_t kConfigBytesMax = uint64_t{1} << 20;

void add_linear(std::vector<TensorNeed>* out, const std::string& name, int64_t rows, int64_t columns, bool bias) {
  out->push_back({name + ".weight", {rows, columns}});
  if (bias) out->push_back({name + ".bias", {rows}});
}

void add_layer(std::vector<TensorNeed>* out, const ModelSpec& spec, int64_t layer) {
  const std::string at = fmt::format("model.layers.{}.", layer);
  out->push_back({at + "input_layernorm.weight", {spec.hidden}});
  add_linear(out, at + "self_attn.q_proj", spec.q_width(), spec.hidden, spec.qkv_bias);
  add_linear(out, at + "self_attn.k_proj", spec.kv_width(), spec.hidden, spec.qkv_bias);
  add_linear(out, at + "self_attn.v_proj", spec.kv_width(), spec.hidden, spec.qkv_bias);
  add_linear(out, at + "self_attn.o_proj", spec.hidden, spec.q_width(), spec.o_bias);
  if (spec.qk_norm) {
    out->push_back({at + "self_attn.q_norm.weight", {spec.head_dim}});
    out->push_back({at + "self_attn.k_norm.weight", {spec.head_dim}});
  }
  out->push_back({at + "post_attention_layernorm.weight", {spec.hidden}});
  add_linear(out, at + "mlp.gate_proj", spec.ffn, spec.hidden, spec.mlp_bias);
  add_linear(out, at + "mlp.up_proj", spec.ffn, spec.hidden, spec.mlp_bias);
  add_linear(out, at + "mlp.down_proj", spec.hidden, spec.ffn, spec.mlp_bias);
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
float llama3_frequency(const Rope& rope, float frequency) {
  const auto original = static_cast<double>(rope.original_max_position);
  const auto longest = static_cast<float>(original / rope.low_freq_factor);
  const auto shortest = static_cast<float>(original / rope.high_freq_factor);
  const auto factor = static_cast<float>(rope.factor);
  const float wavelength = static_cast<float>(2 * M_PI) / frequency;
  if (wavelength > longest) return frequency / factor;
  if (wavelength < shortest) return frequency;
  const float smooth = (static_cast<float>(original) / wavelength - static_cast<float>(rope.low_freq_factor)) /
                       static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / factor + smooth * frequency;
}

}  // namespace

Result<ModelSpec> load_spec(const std::string& model_dir) {
  WEIR_ASSIGN_OR_RETURN(const std::string config, read_small_file(model_dir + "/config.json", kConfigBytesMax));
  std::string generation;
  if (auto text = read_small_file(model_dir + "/generation_config.json", kConfigBytesMax); text.ok()) {
    generation = *std::move(text);
  } else if (text.status().code() != Code::kNotFound) {
    return text.status();
  }
  Result<ModelSpec> spec = parse_config(config, generation);
  if (!spec.ok()) return spec.status().with_prefix(model_dir);
  return spec;
}

std::vector<TensorNeed> tensors_of(const ModelSpec& spec) {
  std::vector<TensorNeed> out;
  out.push_back({std::string(kEmbedTensor), {spec.vocab, spec.hidden}});
  for (int64_t layer = 0; layer < spec.layers; ++layer) add_layer(&out, spec, layer);
  out.push_back({"model.norm.weight", {spec.hidden}});
  out.push_back({std::string(kHeadTensor), {spec.vocab, spec.hidden}, spec.tie_embeddings});
  return out;
}

uint64_t parameter_count(const ModelSpec& spec) {
  uint64_t total = 0;
  for (const TensorNeed& need : tensors_of(spec)) {
    uint64_t count = need.optional ? 0 : 1;
    for (const int64_t extent : need.shape) count *= static_cast<uint64_t>(extent);
    total += count;
  }
  return total;
}

uint64_t weight_bytes(const ModelSpec& spec, DType dtype) { return parameter_count(spec) * dtype_bytes(dtype); }

std::vector<float> rope_inverse_frequencies(const ModelSpec& spec) {
  const auto base = static_cast<float>(spec.rope.theta);
  const auto width = static_cast<float>(spec.head_dim);
  std::vector<float> out;
  out.reserve(static_cast<size_t>(spec.head_dim / 2));
  for (int64_t i = 0; i < spec.head_dim; i += 2) {
    const float frequency = 1.0F / std::pow(base, static_cast<float>(i) / width);
    switch (spec.rope.scaling) {
      case RopeScaling::kNone:
        out.push_back(frequency);
        break;
      case RopeScaling::kLinear:
        out.push_back(frequency / static_cast<float>(spec.rope.factor));
        break;
      case RopeScaling::kLlama3:
        out.push_back(llama3_frequency(spec.rope, frequency));
        break;
    }
  }
  return out;
}

}  // namespace weir
