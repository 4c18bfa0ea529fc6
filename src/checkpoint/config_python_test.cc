// Files of a model directory as Python writes them: numbers that are none, sentinels, old and new names, documented
// defaults. What each means is what it means in transformers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "checkpoint/model_spec.h"
#include "checkpoint/shard_index.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr char kLlama[] =
    R"("model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256, "rms_norm_eps": 1e-5)";

// The members of `more` beside those of a small Llama of 512 positions, or of another family where it names one.
Result<ModelSpec> parse(const std::string& more, const std::string& generation = "") {
  return parse_config(
      "{" + std::string(kLlama) +
          (more.find("max_position") == std::string::npos ? ", \"max_position_embeddings\": 512" : "") +
          (more.empty() ? "" : ", ") + more + "}",
      generation);
}

Result<ModelSpec> parse_family(std::string family, const std::string& more) {
  std::string config =
      "{" + std::string(kLlama) + ", \"max_position_embeddings\": 512" + (more.empty() ? "" : ", ") + more + "}";
  const size_t at = config.find("llama");
  return parse_config(config.replace(at, 5, family), "");
}

void expect_starts(const std::string& more, const std::string& generation = "") {
  const Result<ModelSpec> spec = parse(more, generation);
  EXPECT_TRUE(spec.ok()) << more << generation << ": " << spec.status().message();
}

TEST(Faults, python_json_and_sentinels) {
  for (const char* more : {R"("attention_dropout": NaN)",
                           R"("time_step_limit": [0.0, Infinity])",
                           R"("x": {"y": [-Infinity, {"z": NaN}]})",
                           R"("initializer_range": 1e400)",
                           R"("x": 1000000000000000019884624838656)",
                           R"("x": "NaN")",
                           R"("eos_token_id": -1)",
                           R"("eos_token_id": null)",
                           R"("eos_token_id": [])",
                           R"("eos_token_id": [-1, 2])",
                           R"("bos_token_id": -1)",
                           R"("sliding_window": null, "use_sliding_window": false)",
                           R"("head_dim": null)",
                           R"("rope_scaling": null, "rope_theta": null)",
                           R"("torch_dtype": null)",
                           R"("torch_dtype": "torch.bfloat16")",
                           R"("torch_dtype": "auto")",
                           R"("dtype": "float32", "torch_dtype": "float16")",
                           R"("hidden_act": "swish")",
                           R"("max_position_embeddings": 1e6)",
                           R"("quantization_config": null)",
                           R"("layer_types": null)",
                           R"("unread": 1, "unread": 2)",
                           R"("unread": {"a": 1, "a": 2})"}) {
    expect_starts(more);
  }
  for (const char* generation : {R"({"top_k": -1})", R"({"top_k": 0})", R"({"top_k": null})", R"({"top_k": 50.0})",
                                 R"({"eos_token_id": -1})", R"({"eos_token_id": null, "temperature": null})",
                                 R"({"unread": Infinity})", "{}\n\n", "\xef\xbb\xbf{}"}) {
    expect_starts("", generation);
  }
  EXPECT_THAT(parse(R"("eos_token_id": [-1, 2])")->eos, ElementsAre(2));
  EXPECT_FALSE(parse(R"("bos_token_id": -1)")->bos);
  EXPECT_TRUE(
      parse_config("\xef\xbb\xbf{" + std::string(kLlama) + ", \"max_position_embeddings\": 512}\n", "").ok());
}

// A value that is read is not excused: it would change the answers.
TEST(Faults, python_json_in_a_field_that_is_read) {
  EXPECT_THAT(parse(R"("rope_theta": Infinity)").status().message(), HasSubstr("'rope_theta' must be a number"));
  EXPECT_THAT(parse(R"("max_position_embeddings": NaN)").status().message(),
              HasSubstr("'max_position_embeddings' must be a whole number"));
  EXPECT_THAT(parse(R"("max_position_embeddings": 1000.5)").status().message(),
              HasSubstr("must be a whole number"));
  EXPECT_THAT(parse(R"("max_position_embeddings": 1e30)").status().message(),
              HasSubstr("'max_position_embeddings' must be"));
  EXPECT_THAT(parse(R"("rope_theta": 1e4, "rope_theta": 1e5)").status().message(),
              HasSubstr("'rope_theta' is there twice"));
  EXPECT_THAT(parse(R"("rope_scaling": {"type": "linear", "factor": 2, "factor": 4})").status().message(),
              HasSubstr("'factor' is there twice"));
  EXPECT_FALSE(parse(R"("x": nan)").ok());
  EXPECT_FALSE(parse(R"("x": Infinity1)").ok());
}

TEST(Faults, python_documented_defaults) {
  const auto without = [](const char* family, const char* key) {
    std::string config = "{" + std::string(kLlama) + ", \"head_dim\": 16, \"max_position_embeddings\": 512}";
    config.replace(config.find("llama"), 5, family);
    const size_t at = config.find(std::string("\"") + key);
    const size_t end = config.find_first_of(",}", at);
    config.erase(config[end] == '}' ? at - 2 : at, config[end] == '}' ? end - at + 2 : end + 1 - at);
    return parse_config(config, "");
  };
  EXPECT_EQ(without("llama", "max_position_embeddings")->context_max, 2048);
  EXPECT_EQ(without("qwen2", "max_position_embeddings")->context_max, 32768);
  EXPECT_EQ(without("qwen3", "max_position_embeddings")->context_max, 32768);
  EXPECT_EQ(without("qwen3", "head_dim")->head_dim, 128);
  EXPECT_EQ(without("qwen2", "head_dim")->head_dim, 16);
  EXPECT_EQ(without("llama", "num_key_value_heads")->kv_heads, 4);
  EXPECT_EQ(parse_family("qwen2", "\"rope_theta\": null")->rope.theta, 10000);
  EXPECT_EQ(parse("\"max_position_embeddings\": 1e6")->context_max, 1'000'000);
  EXPECT_EQ(parse("\"max_position_embeddings\": 1000000.0")->context_max, 1'000'000);
}

// transformers: a window cuts only where it is not null, on layers from max_window_layers on, unless layer_types
// says more.
TEST(Faults, python_windows_that_cut_nothing) {
  for (
      const char* more :
      {R"("use_sliding_window": true, "sliding_window": null)",
       R"("use_sliding_window": true, "sliding_window": 64, "max_window_layers": 2)",
       R"("use_sliding_window": true, "sliding_window": 64, "layer_types": ["full_attention", "full_attention"])"}) {
    const Result<ModelSpec> spec = parse_family("qwen2", more);
    EXPECT_TRUE(spec.ok()) << more << ": " << spec.status().message();
  }
  EXPECT_FALSE(
      parse_family("qwen2", R"("use_sliding_window": true, "sliding_window": 64, "max_window_layers": 1)").ok());
  EXPECT_FALSE(
      parse_family("qwen2", R"("layer_types": ["full_attention", "sliding_attention"], "sliding_window": null)")
          .ok());
}

TEST(Faults, python_json_of_an_index) {
  EXPECT_TRUE(parse_shard_index(
                  "\xef\xbb\xbf{\"metadata\": {\"total_size\": NaN}, \"weight_map\": {\"a\": \"m.safetensors\"}}\n",
                  "index")
                  .ok());
  EXPECT_THAT(parse_shard_index(R"({"weight_map": {"a": "m.safetensors", "a": "n.safetensors"}})", "index")
                  .status()
                  .message(),
              HasSubstr("'a' is there twice"));
}

// What ends an answer is the union: a model that ends by a token which one file alone knows would never stop.
TEST(Faults, end_token_of_either_file) {
  EXPECT_THAT(parse(R"("eos_token_id": 2)", R"({"eos_token_id": [7, 2]})")->eos, UnorderedElementsAre(2, 7));
  EXPECT_THAT(parse(R"("eos_token_id": 2)", R"({"eos_token_id": null})")->eos, ElementsAre(2));
}

TEST(Faults, generation_config_defaults) {
  const ModelSpec spec = parse("", R"({"min_p": 0.05, "max_new_tokens": 300, "presence_penalty": 1.5,
      "frequency_penalty": -0.5, "top_k": -1, "do_sample": false, "temperature": null})")
                             .value();
  EXPECT_EQ(spec.sampling.min_p, 0.05);
  EXPECT_EQ(spec.sampling.max_new_tokens, 300);
  EXPECT_EQ(spec.sampling.presence_penalty, 1.5);
  EXPECT_EQ(spec.sampling.frequency_penalty, -0.5);
  EXPECT_EQ(spec.sampling.top_k, 0);
  EXPECT_EQ(spec.sampling.do_sample, false);
  EXPECT_FALSE(spec.sampling.temperature);
  EXPECT_THAT(spec.notes, testing::IsEmpty());
  EXPECT_FALSE(parse("", R"({"max_new_tokens": -1})")->sampling.max_new_tokens);
  EXPECT_THAT(parse("", R"({"min_p": 1.5})").status().message(), HasSubstr("'min_p' must be between 0 and 1"));
}

// One line names what would have changed an answer elsewhere; what is off, or says nothing of an answer, is not in
// it.
TEST(Faults, generation_config_that_is_not_read) {
  EXPECT_THAT(
      parse(
          "",
          R"({"num_beams": 4, "length_penalty": 1.0, "typical_p": 0.9, "min_new_tokens": 2, "suppress_tokens": [], "penalty_alpha": null,
      "max_length": 4096, "transformers_version": "5.0", "pad_token_id": 3, "use_cache": true, "early_stopping": false})")
          ->notes,
      ElementsAre("generation_config.json: not read: num_beams, typical_p, min_new_tokens, max_length"));
  EXPECT_THAT(
      parse("", R"({"eos_token_id": [2, 256]})")->notes,
      ElementsAre("generation_config.json: 'eos_token_id' 256 is beyond the model's 256 ids and is not used"));
  EXPECT_THAT(parse("", R"({"eos_token_id": [2, 256]})")->eos, ElementsAre(2));
}

}  // namespace
}  // namespace weir
