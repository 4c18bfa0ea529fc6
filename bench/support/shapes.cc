#include "support/shapes.h"

#include <cstdint>
#include <fstream>

#include "checkpoint/model_spec.h"
#include "support/random_checkpoint.h"

namespace weir::bench {
namespace {

// config.json of TinyLlama/TinyLlama-1.1B-Chat-v1.0 and Qwen/Qwen2.5-3B.
const char* const kTinyLlama =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 2048,
 "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4,
 "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": false,
 "torch_dtype": "bfloat16", "vocab_size": 32000, "eos_token_id": 2})";
const char* const kQwenThreeBillion =
    R"({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 2048,
 "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
 "max_position_embeddings": 32768, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "tie_word_embeddings": true,
 "torch_dtype": "bfloat16", "vocab_size": 151936, "eos_token_id": 151645})";
// No real model: 24 M parameters, for trying the tools out.
const char* const kSmall =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 512,
 "intermediate_size": 1536, "num_hidden_layers": 7, "num_attention_heads": 8, "num_key_value_heads": 4,
 "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true,
 "torch_dtype": "bfloat16", "vocab_size": 2048, "eos_token_id": 2000})";

struct Shape {
  const char* name;
  const char* config;
};
const Shape* shapes_begin() {
  static const Shape kShapes[] = {{"qwen2.5-0.5b", testing::kQwenHalfBillionConfig},
                                  {"tinyllama-1.1b", kTinyLlama},
                                  {"qwen2.5-3b", kQwenThreeBillion},
                                  {"small", kSmall},
                                  {nullptr, nullptr}};
  return kShapes;
}

// How byte-level BPE spells a byte: printable ones of Latin-1 stand for themselves, the others for U+0100 and up in
// order (bytes_to_unicode of GPT-2's encoder.py).
int spelling(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  if (printable(byte)) return byte;
  int before = 0;
  for (int b = 0; b < byte; ++b) before += printable(b) ? 0 : 1;
  return 256 + before;
}

std::string utf8(int code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

std::string token_text(int64_t id, int64_t end) {
  if (id == end) return "<|end|>";
  if (id >= 256) return utf8(spelling(' ')) + "w" + std::to_string(id);
  const std::string text = utf8(spelling(static_cast<int>(id)));
  return text == "\"" || text == "\\" ? "\\" + text : text;
}

void write_tokenizer(const std::string& path, int64_t vocab, int64_t end) {
  std::ofstream file(path);
  file
      << R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":)" << end
      << R"(,"content":"<|end|>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],)"
      << R"("normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,)"
      << R"("use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,)"
      << R"("trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,)"
      << R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"vocab":{)";
  for (int64_t id = 0; id < vocab; ++id) file << (id ? ",\"" : "\"") << token_text(id, end) << "\":" << id;
  file << R"(},"merges":[]}})";
}

}  // namespace

std::string shape_names() {
  std::string names;
  for (const Shape* shape = shapes_begin(); shape->name != nullptr; ++shape) {
    names += (names.empty() ? "" : ", ") + std::string(shape->name);
  }
  return names;
}

Result<std::string> shape_config(std::string_view name) {
  for (const Shape* shape = shapes_begin(); shape->name != nullptr; ++shape) {
    if (name == shape->name) return std::string(shape->config);
  }
  return invalid_argument("unknown shape \"" + std::string(name.substr(0, 40)) + "\": use " + shape_names());
}

Status write_shape(std::string_view name, const std::string& dir) {
  WEIR_ASSIGN_OR_RETURN(const std::string config, shape_config(name));
  WEIR_RETURN_IF_ERROR(testing::write_random_checkpoint(dir, config));
  WEIR_ASSIGN_OR_RETURN(const ModelSpec spec, parse_config(config, ""));
  write_tokenizer(dir + "/tokenizer.json", spec.vocab, spec.eos.front());
  return ok_status();
}

}  // namespace weir::bench
