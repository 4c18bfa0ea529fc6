#include "support/random_checkpoint.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <vector>

#include "checkpoint/model_spec.h"

namespace weir::testing {
namespace {

// The safetensors header for every tensor in bf16, one after the other. MODIFIES: *bytes, of all tensors.
std::string make_header(const ModelSpec& spec, uint64_t* bytes) {
  std::string header = "{";
  for (const TensorNeed& need : tensors_of(spec)) {
    if (need.optional) continue;
    uint64_t size = 2;
    std::string shape;
    for (const int64_t dim : need.shape) {
      size *= static_cast<uint64_t>(dim);
      shape += (shape.empty() ? "" : ",") + std::to_string(dim);
    }
    header += (*bytes ? ",\"" : "\"") + need.name + "\":{\"dtype\":\"BF16\",\"shape\":[" + shape +
              "],\"data_offsets\":[" + std::to_string(*bytes) + "," + std::to_string(*bytes + size) + "]}";
    *bytes += size;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

// Sign, an exponent of 2^-7 or 2^-6 and seven bits of mantissa from xorshift64 (Marsaglia 2003).
void write_weights(std::ofstream* file, uint64_t count) {
  std::vector<uint16_t> piece(1 << 20);
  uint64_t state = 88172645463325252u;
  for (uint64_t left = count; left > 0;) {
    const uint64_t now = std::min<uint64_t>(left, piece.size());
    for (uint64_t i = 0; i < now; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      piece[i] = static_cast<uint16_t>((state & 0x8000u) | ((120u + ((state >> 16) & 1u)) << 7) | ((state >> 20) & 0x7fu));
    }
    file->write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(2 * now));
    left -= now;
  }
}

}  // namespace

const char* const kQwenHalfBillionConfig =
    R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 896,
 "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
 "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": true,
 "torch_dtype": "bfloat16", "vocab_size": 151936, "eos_token_id": 151645})";

const char* const kSmallConfig =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 512,
 "intermediate_size": 1536, "num_hidden_layers": 7, "num_attention_heads": 8, "num_key_value_heads": 4,
 "max_position_embeddings": 1024, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true,
 "torch_dtype": "bfloat16", "vocab_size": 2048, "eos_token_id": 2})";

Status write_random_checkpoint(const std::string& dir, const std::string& config_json) {
  WEIR_ASSIGN_OR_RETURN(const ModelSpec spec, parse_config(config_json, ""));
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/config.json") << config_json;
  uint64_t bytes = 0;
  const std::string header = make_header(spec, &bytes);
  std::ofstream file(dir + "/model.safetensors", std::ios::binary);
  const uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  write_weights(&file, bytes / 2);
  if (!file.flush()) return failed_precondition(dir + ": cannot be written; is there room?");
  return ok_status();
}

}  // namespace weir::testing
