// ModelSpec: all that the one forward pass needs to know about a model, read from a Hugging Face directory.
//
// A plain value; any thread. Every number is range-checked on the way in, with caps so small that no product of
// them (parameters, bytes, cache entries) leaves 63 bits. It never opens a weights file and never guesses: a key
// that would change the answer and is missing, contradictory or unknown is a one-line error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace weir {

enum class Family { kLlama, kQwen2, kQwen3 };  // for messages; the forward looks at the flags below

const char* family_name(Family family);  // "llama", "qwen2", "qwen3"
std::string supported_architectures();   // "LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM"

enum class RopeScaling { kNone, kLinear, kLlama3 };

// Rotary position embedding, half-split pairs as Hugging Face stores them: (i, i + head_dim / 2).
struct Rope {
  double theta = 10000;  // [1, 1e12]
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;                     // linear and llama3, [1, 1e6]
  double low_freq_factor = 1;            // llama3
  double high_freq_factor = 4;           // llama3, > low_freq_factor
  int64_t original_max_position = 8192;  // llama3, tokens
  bool operator==(const Rope&) const = default;
};

// What generation_config.json proposes; the request's own values win. Unset means the file says nothing. Any other
// key that would change an answer is named in ModelSpec::notes.
struct SamplingDefaults {
  std::optional<double> temperature;         // [0, 100]
  std::optional<double> top_p;               // [0, 1]
  std::optional<int64_t> top_k;              // [0, 2^31); 0 is off, and so is the file's -1
  std::optional<double> min_p;               // [0, 1]
  std::optional<double> repetition_penalty;  // (0, 100]
  std::optional<double> presence_penalty;    // [-2, 2]
  std::optional<double> frequency_penalty;   // [-2, 2]
  std::optional<bool> do_sample;             // false means greedy
  std::optional<int64_t> max_new_tokens;     // [1, 2^31): of chats that name no max_tokens
};

struct ModelSpec {
  Family family = Family::kLlama;
  int64_t hidden = 0;       // [1, 65536]
  int64_t layers = 0;       // [1, 1024]
  int64_t heads = 0;        // query heads, [1, 1024]
  int64_t kv_heads = 0;     // divides heads
  int64_t head_dim = 0;     // even, [2, 512]; heads * head_dim need not equal hidden (Qwen3)
  int64_t ffn = 0;          // [1, 2^20]
  int64_t vocab = 0;        // [2, 2^21]
  int64_t context_max = 0;  // max_position_embeddings, tokens, [1, 2^24]
  double rms_eps = 1e-6;    // (0, 0.1]
  Rope rope;
  bool tie_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;             // RMS norm over head_dim of q and k before the rotation (Qwen3)
  std::optional<DType> file_dtype;  // torch_dtype / dtype; the safetensors header has the last word
  std::optional<int64_t> bos;       // token ids, [0, vocab)
  std::vector<int64_t> eos;         // of both files together, [0, vocab), ascending
  std::vector<int64_t> eos_of_config, eos_of_generation;  // as either file lists them, ids that the model has
  SamplingDefaults sampling;
  std::vector<std::string> notes;  // one line each, for the log of a start: what the files say and weir does not do

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
};

// generation_config_json may be empty.
// ERRORS: kUnimplemented for a well-formed model of another architecture or scaling, naming what is supported;
// kInvalidArgument for missing, wrong-typed, absurd or contradictory keys; kTooLarge above 1 MiB of text.
Result<ModelSpec> parse_config(std::string_view config_json, std::string_view generation_config_json);

// Reads config.json and, where it exists, generation_config.json of a directory.
// ERRORS: also kNotFound, with the path.
Result<ModelSpec> load_spec(const std::string& model_dir);

// One tensor the forward reads, in Hugging Face's names. Matrices are [out, in], row-major.
struct TensorNeed {
  std::string name;
  std::vector<int64_t> shape;
  bool optional = false;  // lm_head.weight of a tied model: stored or not, the embedding stands for it
};

inline constexpr std::string_view kEmbedTensor = "model.embed_tokens.weight";
inline constexpr std::string_view kHeadTensor = "lm_head.weight";

std::vector<TensorNeed> tensors_of(const ModelSpec& spec);
uint64_t parameter_count(const ModelSpec& spec);            // tied embeddings count once
uint64_t weight_bytes(const ModelSpec& spec, DType dtype);  // parameter_count * dtype_bytes

// RETURNS: head_dim / 2 angles per position, in radians, f32, computed in the order of f32 operations that
// transformers uses (modeling_rope_utils.py: _compute_default_, _linear_scaling_ and _llama3_parameters), so
// that both differ by the last bits of powf alone.
std::vector<float> rope_inverse_frequencies(const ModelSpec& spec);

}  // namespace weir
