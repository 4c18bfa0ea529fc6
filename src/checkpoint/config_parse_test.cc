#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/model_spec.h"

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Key and JSON text; a test changes, adds or removes (empty text) one and looks at the answer.
using Keys = std::vector<std::pair<std::string, std::string>>;

Keys small_llama() {
  return {{"model_type", "\"llama\""},  {"hidden_size", "64"},        {"num_hidden_layers", "2"},
          {"num_attention_heads", "4"}, {"num_key_value_heads", "2"}, {"intermediate_size", "128"},
          {"vocab_size", "256"},        {"rms_norm_eps", "1e-5"},     {"max_position_embeddings", "512"}};
}

Keys with(Keys keys, const Keys& changes) {
  for (const auto& change : changes) {
    std::erase_if(keys, [&](const auto& key) { return key.first == change.first; });
    if (!change.second.empty()) keys.push_back(change);
  }
  return keys;
}

std::string text_of(const Keys& keys) {
  std::string out = "{";
  for (const auto& [key, value] : keys) out += (out.size() > 1 ? ",\"" : "\"") + key + "\":" + value;
  return out + "}";
}

Result<ModelSpec> parse(const Keys& changes, const std::string& generation = "") {
  return parse_config(text_of(with(small_llama(), changes)), generation);
}

TEST(Config, LlamaDefaults) {
  const ModelSpec spec = parse({}).value();
  EXPECT_EQ(spec.family, Family::kLlama);
  EXPECT_EQ(spec.head_dim, 16);
  EXPECT_EQ(spec.kv_width(), 32);
  EXPECT_EQ(spec.rope.theta, 10000);
  EXPECT_EQ(spec.rms_eps, 1e-5);
  EXPECT_FALSE(spec.qkv_bias || spec.o_bias || spec.mlp_bias || spec.qk_norm || spec.tie_embeddings);
  EXPECT_TRUE(spec.eos.empty());
  EXPECT_FALSE(spec.bos || spec.file_dtype);
  EXPECT_EQ(parse({{"num_key_value_heads", ""}}).value().kv_heads, 4);
}

TEST(Config, LlamaBiasesGoEverywhereTheKeySays) {
  const ModelSpec spec = parse({{"attention_bias", "true"}, {"mlp_bias", "true"}}).value();
  EXPECT_TRUE(spec.qkv_bias && spec.o_bias && spec.mlp_bias);
}

TEST(Config, Qwen2HasBiasesOnQueriesKeysAndValuesAlone) {
  const ModelSpec spec = parse({{"model_type", "\"qwen2\""},
                                {"architectures", "[\"Qwen2ForCausalLM\"]"},
                                {"use_sliding_window", "false"},
                                {"sliding_window", "128"}})
                             .value();
  EXPECT_TRUE(spec.qkv_bias);
  EXPECT_FALSE(spec.o_bias || spec.qk_norm);
}

TEST(Config, Qwen3HasNormsAndItsOwnHeadDim) {
  const ModelSpec spec = parse({{"model_type", "\"qwen3\""}, {"head_dim", "128"}}).value();
  EXPECT_TRUE(spec.qk_norm);
  EXPECT_EQ(spec.q_width(), 512);
  EXPECT_NE(spec.q_width(), spec.hidden);
}

TEST(Config, RopeScalingInBothSpellings) {
  const std::string body =
      "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
      "\"original_max_position_embeddings\":8192";
  const Rope old_name =
      parse({{"rope_theta", "500000.0"}, {"rope_scaling", "{\"rope_type\":\"llama3\"," + body + "}"}}).value().rope;
  const Rope new_name =
      parse({{"rope_parameters", "{\"rope_type\":\"llama3\",\"rope_theta\":500000.0," + body + "}"}}).value().rope;
  EXPECT_EQ(old_name, new_name);
  EXPECT_EQ(new_name.theta, 500000);
  EXPECT_EQ(new_name.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(parse({{"rope_scaling", "{\"type\":\"linear\",\"factor\":4}"}}).value().rope.factor, 4);
  EXPECT_EQ(parse({{"rope_scaling", "null"}}).value().rope.scaling, RopeScaling::kNone);
  EXPECT_EQ(parse({{"rope_parameters", "{\"rope_type\":\"default\",\"rope_theta\":1e6}"}}).value().rope.theta, 1e6);
}

TEST(Config, TokenIdsComeFromBothFiles) {
  const Keys ids = {{"bos_token_id", "1"}, {"eos_token_id", "2"}};
  EXPECT_THAT(parse(ids).value().eos, ElementsAre(2));
  const ModelSpec spec = parse(ids, R"({"eos_token_id":[7,8],"temperature":0.6,"top_p":0.9,"top_k":20,
      "repetition_penalty":1.05,"do_sample":true})")
                             .value();
  EXPECT_THAT(spec.eos, ElementsAre(2, 7, 8));
  EXPECT_THAT(spec.eos_of_config, ElementsAre(2));
  EXPECT_THAT(spec.eos_of_generation, ElementsAre(7, 8));
  EXPECT_EQ(spec.bos, 1);
  EXPECT_EQ(spec.sampling.temperature, 0.6);
  EXPECT_EQ(spec.sampling.top_p, 0.9);
  EXPECT_EQ(spec.sampling.top_k, 20);
  EXPECT_EQ(spec.sampling.repetition_penalty, 1.05);
  EXPECT_EQ(spec.sampling.do_sample, true);
  EXPECT_FALSE(parse(ids, "{}").value().sampling.temperature);
}

TEST(Config, FileDType) {
  EXPECT_EQ(parse({{"torch_dtype", "\"bfloat16\""}}).value().file_dtype, DType::kBF16);
  EXPECT_EQ(parse({{"dtype", "\"float16\""}}).value().file_dtype, DType::kF16);
  EXPECT_EQ(parse({{"dtype", "\"float8_e4m3fn\""}}).value().file_dtype, std::nullopt)
      << "the header has the last word";
}

struct Refusal {
  Keys changes;
  Code code;
  std::string says;
};

TEST(Config, RefusesWithOneClearLine) {
  const Code bad = Code::kInvalidArgument;
  const Code never = Code::kUnimplemented;
  const std::vector<Refusal> refusals = {
      {{{"model_type", "\"gemma3_text\""}},
       never,
       "'gemma3_text' is not supported; this build runs LlamaForCausalLM"},
      {{{"architectures", "[\"MixtralForCausalLM\"]"}}, never, "MixtralForCausalLM"},
      {{{"architectures", "[\"Qwen2ForCausalLM\"]"}}, bad, "contradicts"},
      {{{"architectures", "7"}}, bad, "'architectures' must be a list"},
      {{{"model_type", ""}}, bad, "neither"},
      {{{"model_type", "3"}}, bad, "'model_type' must be a string"},
      {{{"hidden_size", ""}}, bad, "'hidden_size' is missing"},
      {{{"hidden_size", "null"}}, bad, "'hidden_size' is missing"},
      {{{"hidden_size", "-64"}}, bad, "'hidden_size' must be between"},
      {{{"hidden_size", "0"}}, bad, "'hidden_size' must be between"},
      {{{"hidden_size", "18446744073709551615"}}, bad, "'hidden_size' must be between"},
      {{{"hidden_size", "64.5"}}, bad, "'hidden_size' must be a whole number"},
      {{{"hidden_size", "\"64\""}}, bad, "'hidden_size' must be a whole number"},
      {{{"hidden_size", "66"}}, bad, "66 is not a multiple of 4 heads"},
      {{{"num_hidden_layers", "100000"}}, bad, "'num_hidden_layers' must be between 1 and 1024"},
      {{{"num_key_value_heads", "3"}}, bad, "4 attention heads cannot share 3"},
      {{{"num_key_value_heads", "8"}}, bad, "4 attention heads cannot share 8"},
      {{{"num_key_value_heads", "0"}}, bad, "'num_key_value_heads'"},
      {{{"head_dim", "15"}}, bad, "is 15; it must be even"},
      {{{"head_dim", "514"}}, bad, "at most 512"},
      {{{"vocab_size", "99999999"}}, bad, "'vocab_size'"},
      {{{"intermediate_size", "0"}}, bad, "'intermediate_size'"},
      {{{"max_position_embeddings", "-1"}}, bad, "'max_position_embeddings'"},
      {{{"rms_norm_eps", "0"}}, bad, "'rms_norm_eps'"},
      {{{"rms_norm_eps", "1e999"}}, bad, "'rms_norm_eps' must be a number"},
      {{{"hidden_act", "\"gelu\""}}, bad, "'gelu' is not supported; it must be silu"},
      {{{"quantization_config", "{\"bits\":4}"}}, never, "already quantized"},
      {{{"tie_word_embeddings", "1"}}, bad, "must be true or false"},
      {{{"rope_theta", "0"}}, bad, "'rope_theta'"},
      {{{"rope_scaling", "{\"rope_type\":\"yarn\",\"factor\":4}"}}, never, "'yarn' is not supported"},
      {{{"rope_scaling", "{\"rope_type\":\"linear\"}"}}, bad, "rope_scaling: 'factor' is missing"},
      {{{"rope_scaling", "4"}}, bad, "'rope_scaling' must be an object"},
      {{{"rope_scaling", "{\"type\":\"linear\",\"factor\":4}"}, {"rope_parameters", "{\"rope_type\":\"default\"}"}},
       bad,
       "contradict each other"},
      {{{"rope_theta", "1e4"}, {"rope_parameters", "{\"rope_theta\":1e6}"}}, bad, "two different values"},
      {{{"partial_rotary_factor", "0.5"}}, bad, "partial_rotary_factor"},
      {{{"use_sliding_window", "true"}, {"sliding_window", "128"}}, never, "window of 128 tokens is shorter"},
      {{{"layer_types", "[\"full_attention\",\"sliding_attention\"]"}, {"sliding_window", "64"}},
       never,
       "window of 64"},
      {{{"model_type", "\"qwen2\""}, {"num_key_value_heads", ""}}, bad, "4 attention heads cannot share 32"},
      {{{"eos_token_id", "[1,\"2\"]"}}, bad, "'eos_token_id' must be a token id, a list of ids, or null"},
      {{{"bos_token_id", "1.5"}}, bad, "'bos_token_id' must be a token id"},
  };
  for (const Refusal& refusal : refusals) {
    const Result<ModelSpec> spec = parse(refusal.changes);
    ASSERT_FALSE(spec.ok()) << refusal.says;
    EXPECT_EQ(spec.status().code(), refusal.code) << spec.status().message();
    EXPECT_THAT(spec.status().message(), HasSubstr(refusal.says));
    EXPECT_EQ(spec.status().message().find('\n'), std::string::npos);
  }
}

TEST(Config, WindowAsLongAsTheContextIsFine) {
  EXPECT_TRUE(parse({{"use_sliding_window", "true"}, {"sliding_window", "512"}}).ok());
  EXPECT_TRUE(parse({{"layer_types", "[\"full_attention\",\"full_attention\"]"}}).ok());
}

TEST(Config, TextThatIsNoObject) {
  for (const char* text : {"", "[]", "7", "{", "{}x", "{\"a\":1,}", "nul", "\xff\xfe"}) {
    EXPECT_EQ(parse_config(text, "").status().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_THAT(parse({{"rope_theta", "1,\"rope_\\u0074heta\":2"}}).status().message(),
              HasSubstr("'rope_theta' is there twice"));
  EXPECT_EQ(parse_config(std::string(2 << 20, ' '), "").status().code(), Code::kTooLarge);
  EXPECT_FALSE(parse_config(std::string(100000, '['), "").ok());
  EXPECT_THAT(parse({}, "[1]").status().message(), HasSubstr("generation_config.json"));
}

TEST(Config, TheLargestModelAllowedDoesNotOverflow) {
  const ModelSpec spec = parse({{"hidden_size", "65536"},
                                {"num_hidden_layers", "1024"},
                                {"num_attention_heads", "1024"},
                                {"num_key_value_heads", "1024"},
                                {"head_dim", "512"},
                                {"intermediate_size", "1048576"},
                                {"vocab_size", "2097152"}})
                             .value();
  // Per layer 4 h q + 3 h f + 2 h with h = 2^16, q = 2^19, f = 2^20; then two embeddings and a norm.
  const uint64_t h = 65536, q = 524288, f = 1048576, v = 2097152;
  EXPECT_EQ(parameter_count(spec), 1024 * (4 * h * q + 3 * h * f + 2 * h) + 2 * v * h + h);
  EXPECT_LT(weight_bytes(spec, DType::kF32), uint64_t{1} << 63);
}

TEST(Tensors, NamesShapesAndCounts) {
  const ModelSpec plain = parse({}).value();
  const std::vector<TensorNeed> needs = tensors_of(plain);
  EXPECT_EQ(needs.size(), 3u + 2 * 9);
  EXPECT_EQ(needs.front().name, "model.embed_tokens.weight");
  EXPECT_EQ(needs[3].name, "model.layers.0.self_attn.k_proj.weight");
  EXPECT_THAT(needs[3].shape, ElementsAre(32, 64));
  EXPECT_FALSE(needs.back().optional);
  const uint64_t layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 64 * 128 + 2 * 64;
  EXPECT_EQ(parameter_count(plain), 2 * layer + 2 * 256 * 64 + 64);
  EXPECT_EQ(weight_bytes(plain, DType::kBF16), 2 * parameter_count(plain));

  const ModelSpec tied = parse({{"tie_word_embeddings", "true"}}).value();
  EXPECT_TRUE(tensors_of(tied).back().optional);
  EXPECT_EQ(parameter_count(tied), 2 * layer + 256 * 64 + 64);

  const ModelSpec qwen2 = parse({{"model_type", "\"qwen2\""}}).value();
  EXPECT_EQ(parameter_count(qwen2), parameter_count(plain) + 2 * (64 + 32 + 32));
  const ModelSpec qwen3 = parse({{"model_type", "\"qwen3\""}, {"head_dim", "16"}}).value();
  EXPECT_EQ(parameter_count(qwen3), parameter_count(plain) + 2 * 2 * 16);
}

}  // namespace
}  // namespace weir
