// parse_config: config.json and generation_config.json to a checked ModelSpec; generation_config.cc reads the
// second.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "checkpoint/generation_config.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/model_spec.h"
#include "tensor/parse_dtype.h"

namespace weir {
namespace {

namespace json = boost::json;

// The defaults of the configuration classes of transformers, for keys that a file may leave out. A wrong size
// cannot pass: check_tensors() holds it against the weights.
constexpr int64_t kLlamaContext = 2048, kQwenContext = 32768, kQwenKvHeads = 32, kQwen3HeadDim = 128,
                  kQwenWindowLayers = 28;

struct FamilyRow {
  Family family;
  std::string_view name;          // model_type
  std::string_view architecture;  // architectures[0]
};

constexpr std::array<FamilyRow, 3> kFamilies = {{{Family::kLlama, "llama", "LlamaForCausalLM"},
                                                 {Family::kQwen2, "qwen2", "Qwen2ForCausalLM"},
                                                 {Family::kQwen3, "qwen3", "Qwen3ForCausalLM"}}};

Status unsupported(std::string_view what, std::string_view value) {
  return Status(Code::kUnimplemented, fmt::format("config.json: {} '{}' is not supported; this build runs {}", what,
                                                  printable(value), supported_architectures()));
}

// RETURNS: architectures[0], or "" when the key is absent.
std::string first_architecture(FieldReader* in) {
  const json::value* list = in->find("architectures");
  if (list == nullptr) return "";
  if (list->is_array() && list->get_array().empty()) return "";
  if (!list->is_array() || !list->get_array()[0].is_string()) {
    in->fail("'architectures' must be a list of names");
    return "";
  }
  return std::string(list->get_array()[0].get_string());
}

// The architecture decides; model_type decides where there is no architecture, and must not contradict it.
Result<Family> read_family(FieldReader* in) {
  const std::string architecture = first_architecture(in);
  const std::string type = in->text("model_type", "");
  WEIR_RETURN_IF_ERROR(in->status());
  if (architecture.empty() && type.empty()) {
    return invalid_argument("config.json: neither 'architectures' nor 'model_type' says what model this is");
  }
  for (const FamilyRow& row : kFamilies) {
    if (architecture.empty() ? type != row.name : architecture != row.architecture) continue;
    if (!type.empty() && type != row.name) {
      return invalid_argument(fmt::format("config.json: architecture '{}' contradicts model_type '{}'",
                                          printable(architecture), printable(type)));
    }
    return row.family;
  }
  return architecture.empty() ? unsupported("model_type", type) : unsupported("architecture", architecture);
}

void read_sizes(FieldReader* in, ModelSpec* spec) {
  spec->hidden = in->integer("hidden_size", 1, 65536);
  spec->layers = in->integer("num_hidden_layers", 1, 1024);
  spec->heads = in->integer("num_attention_heads", 1, 1024);
  spec->ffn = in->integer("intermediate_size", 1, int64_t{1} << 20);
  spec->vocab = in->integer("vocab_size", 2, int64_t{1} << 21);
  const bool llama = spec->family == Family::kLlama;
  spec->context_max =
      in->integer("max_position_embeddings", 1, int64_t{1} << 24, llama ? kLlamaContext : kQwenContext);
  spec->rms_eps = in->number("rms_norm_eps", 1e-30, 0.1, 1e-6);
  if (!in->ok()) return;
  // null means "every head has its own" everywhere; the absent key does so for Llama alone.
  const bool all = llama || in->is_null("num_key_value_heads");
  spec->kv_heads = in->integer("num_key_value_heads", 1, 1024, all ? spec->heads : kQwenKvHeads);
  if (in->ok() && spec->heads % spec->kv_heads != 0) {
    in->fail(fmt::format("{} attention heads cannot share {} key-value heads evenly", spec->heads, spec->kv_heads));
  }
}

void read_head_dim(FieldReader* in, ModelSpec* spec) {
  if (!in->ok()) return;
  const bool stated = in->find("head_dim") != nullptr || spec->family == Family::kQwen3;
  if (!stated && spec->hidden % spec->heads != 0) {
    return in->fail(fmt::format("hidden_size {} is not a multiple of {} heads and there is no 'head_dim'",
                                spec->hidden, spec->heads));
  }
  spec->head_dim = stated ? in->integer("head_dim", 1, 65536, kQwen3HeadDim) : spec->hidden / spec->heads;
  if (in->ok() && (spec->head_dim > 512 || spec->head_dim % 2 != 0)) {
    in->fail(fmt::format("the head dimension is {}; it must be even and at most 512", spec->head_dim));
  }
}

void read_llama3_scaling(FieldReader* in, Rope* rope) {
  rope->low_freq_factor = in->number("low_freq_factor", 1e-3, 1e6);
  rope->high_freq_factor = in->number("high_freq_factor", 1e-3, 1e6);
  rope->original_max_position = in->integer("original_max_position_embeddings", 1, int64_t{1} << 24);
  if (in->ok() && rope->high_freq_factor <= rope->low_freq_factor) {
    in->fail("'high_freq_factor' must be above 'low_freq_factor'");
  }
}

// One scaling object, under either of its two names.
Rope read_scaling(const json::object& object, std::string_view key, Rope rope, FieldReader* parent) {
  FieldReader in(object, fmt::format("config.json: {}", key));
  // "type" is the spelling of before 2024.
  const std::string kind = in.text("rope_type", in.text("type", "default"));
  rope.theta = in.number("rope_theta", 1, 1e12, rope.theta);
  if (in.number("partial_rotary_factor", 0, 1, 1.0) != 1.0)
    in.fail("'partial_rotary_factor' other than 1 is not supported");
  if (kind == "linear" || kind == "llama3") {
    rope.scaling = kind == "linear" ? RopeScaling::kLinear : RopeScaling::kLlama3;
    rope.factor = in.number("factor", 1, 1e6);
    if (kind == "llama3") read_llama3_scaling(&in, &rope);
  } else if (kind != "default") {
    in.fail(Status(Code::kUnimplemented, fmt::format("config.json: {} '{}' is not supported; known are default, "
                                                     "linear and llama3",
                                                     key, printable(kind))));
  }
  if (!in.ok()) parent->fail(in.status());
  return rope;
}

void read_rope(FieldReader* in, ModelSpec* spec) {
  const bool theta_stated = in->find("rope_theta") != nullptr;
  spec->rope.theta = in->number("rope_theta", 1, 1e12, 10000.0);
  if (in->number("partial_rotary_factor", 0, 1, 1.0) != 1.0)
    in->fail("'partial_rotary_factor' other than 1 is not supported");
  const Rope plain = spec->rope;
  const json::object* old_name = in->object("rope_scaling");
  const json::object* new_name = in->object("rope_parameters");  // transformers 5; theta moved into it
  if (!in->ok()) return;
  if (old_name != nullptr) spec->rope = read_scaling(*old_name, "rope_scaling", plain, in);
  if (new_name != nullptr) {
    const Rope rope = read_scaling(*new_name, "rope_parameters", plain, in);
    if (old_name != nullptr && !(rope == spec->rope))
      in->fail("'rope_scaling' and 'rope_parameters' contradict each other");
    spec->rope = rope;
  }
  if (theta_stated && spec->rope.theta != plain.theta) in->fail("there are two different values of 'rope_theta'");
}

void read_family_flags(FieldReader* in, ModelSpec* spec) {
  const bool attention_bias = in->boolean("attention_bias", spec->family == Family::kQwen2);
  if (spec->family == Family::kQwen2 && !attention_bias)
    in->fail("Qwen2 has biases on q, k and v; 'attention_bias' is false");
  spec->qkv_bias = attention_bias;
  spec->o_bias = attention_bias && spec->family != Family::kQwen2;
  spec->mlp_bias = in->boolean("mlp_bias", false);
  spec->qk_norm = spec->family == Family::kQwen3;
  spec->tie_embeddings = in->boolean("tie_word_embeddings", false);
  if (spec->mlp_bias && spec->family != Family::kLlama) in->fail("'mlp_bias' is true, which no Qwen model has");
}

bool has_sliding_layer(FieldReader* in) {
  const json::value* types = in->find("layer_types");
  if (types == nullptr) return false;
  if (!types->is_array()) {
    in->fail("'layer_types' must be a list");
    return false;
  }
  for (const json::value& type : types->get_array()) {
    if (!type.is_string()) {
      in->fail("'layer_types' must be a list of names");
    } else if (type.get_string() != "full_attention") {
      return true;
    }
  }
  return false;
}

// Whether a layer has a window: 'layer_types' says it, else those from 'max_window_layers' on have one where the
// window is used and is not null. Llama knows no such keys, so a file that has them is of a model that is not
// Llama's.
bool has_window(FieldReader* in, const ModelSpec& spec) {
  if (in->find("layer_types") != nullptr) return has_sliding_layer(in);
  if (!in->boolean("use_sliding_window", false) || in->is_null("sliding_window")) return false;
  return spec.family == Family::kLlama ||
         in->integer("max_window_layers", 0, 1 << 20, kQwenWindowLayers) < spec.layers;
}

// Full attention is all this build has, so a window is accepted only where it can never cut anything.
void refuse_windows(FieldReader* in, const ModelSpec& spec) {
  if (!has_window(in, spec) || !in->ok()) return;
  if (in->is_null("sliding_window"))
    return in->fail("'layer_types' names layers with a window, and 'sliding_window' is null");
  const int64_t window = in->integer("sliding_window", 1, int64_t{1} << 40, 4096);
  if (in->ok() && window < spec.context_max) {
    in->fail(Status(
        Code::kUnimplemented,
        fmt::format("config.json: a sliding window of {} tokens is shorter than the context of {} and is not "
                    "supported; lower 'max_position_embeddings' to the window, or use a model without one",
                    window, spec.context_max)));
  }
}

void refuse_unknown_arithmetic(FieldReader* in) {
  const std::string act = in->text("hidden_act", "silu");
  if (act != "silu" && act != "swish")
    in->fail(fmt::format("hidden_act '{}' is not supported; it must be silu", printable(act)));
  if (in->find("quantization_config") != nullptr) {
    in->fail(Status(Code::kUnimplemented,
                    "config.json: 'quantization_config' is there: a checkpoint that is already "
                    "quantized is not supported; use the float one"));
  }
}

// A hint alone: the safetensors header has the last word, so a name that weir does not know is no error.
std::optional<DType> read_file_dtype(FieldReader* in) {
  std::string name = in->text("dtype", in->text("torch_dtype", ""));
  if (name.starts_with("torch.")) name.erase(0, 6);
  const Result<DType> dtype = parse_dtype(name);
  if (dtype.ok() && (*dtype == DType::kF32 || *dtype == DType::kF16 || *dtype == DType::kBF16)) return *dtype;
  return std::nullopt;
}

void join_eos(ModelSpec* spec) {
  spec->eos = spec->eos_of_config;
  spec->eos.insert(spec->eos.end(), spec->eos_of_generation.begin(), spec->eos_of_generation.end());
  std::sort(spec->eos.begin(), spec->eos.end());
  spec->eos.erase(std::unique(spec->eos.begin(), spec->eos.end()), spec->eos.end());
}

}  // namespace

const char* family_name(Family family) { return kFamilies[static_cast<size_t>(family)].name.data(); }

std::string supported_architectures() {
  std::string out;
  for (const FamilyRow& row : kFamilies) out += fmt::format("{}{}", out.empty() ? "" : ", ", row.architecture);
  return out;
}

Result<ModelSpec> parse_config(std::string_view config_json, std::string_view generation_config_json) {
  WEIR_ASSIGN_OR_RETURN(const JsonObject object,
                        parse_json_object(config_json, "config.json", kConfigTextBytesMax));
  FieldReader in(object, "config.json");
  ModelSpec spec;
  WEIR_ASSIGN_OR_RETURN(spec.family, read_family(&in));
  read_sizes(&in, &spec);
  read_head_dim(&in, &spec);
  read_rope(&in, &spec);
  read_family_flags(&in, &spec);
  refuse_unknown_arithmetic(&in);
  WEIR_RETURN_IF_ERROR(in.status());
  refuse_windows(&in, spec);
  spec.file_dtype = read_file_dtype(&in);
  read_bos("config.json", &in, &spec);
  spec.eos_of_config = read_eos("config.json", &in, &spec);
  WEIR_RETURN_IF_ERROR(in.status());
  if (!generation_config_json.empty()) WEIR_RETURN_IF_ERROR(read_generation(generation_config_json, &spec));
  join_eos(&spec);
  return spec;
}

}  // namespace weir
