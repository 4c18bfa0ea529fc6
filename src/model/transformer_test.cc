// The forward against transformers' logits (tests/golden, written by tools/make_goldens.py), and promise 8: the same
// bits alone, in a batch, in chunks, in other blocks and with other numbers of threads.
#include "model/transformer.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

namespace weir {
namespace {

namespace json = boost::json;

json::object read_json(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str()).as_object();
}

std::vector<int32_t> ids_of(const json::value& array) {
  std::vector<int32_t> ids;
  for (const json::value& id : array.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

// A model with its KV pool, and a fresh sequence per call.
struct Rig {
  std::unique_ptr<Backend> backend;
  ModelOptions options;
  std::unique_ptr<Transformer> model;
  Region kv;
  static constexpr int64_t kBlocks = 64;

  static Rig load(const std::string& dir, WeightFormat format, KvFormat kv_format, int threads = 1) {
    Rig rig;
    rig.backend = std::move(make_backend("cpu", {.threads = threads, .isa = "", .pin = false})).value();
    const ModelSpec spec = load_spec(dir).value();
    rig.options = {.format = format, .kv_format = kv_format, .session_tokens = 256, .block_tokens = 16,
                   .step_tokens_max = 64, .sequences_max = 8};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    auto model = Transformer::load(spec, rig.options, *checkpoint, *rig.backend, nullptr);
    EXPECT_TRUE(model.ok()) << model.status().message();
    rig.model = std::move(model).value();
    const ModelNeeds needs = Transformer::needs(spec, rig.options, rig.backend->ops());
    rig.kv = std::move(rig.backend->device().reserve(kBlocks * needs.kv_block)).value();
    rig.model->attach_kv(rig.kv.span(), kBlocks);
    return rig;
  }

  struct Part {
    std::vector<int32_t> tokens;
    int32_t position = 0;
    std::vector<int32_t> blocks;
    bool sample = true;
  };

  // RETURNS: logits of the last token of each part that samples.
  std::vector<std::vector<float>> run(const std::vector<Part>& parts) {
    std::vector<int32_t> tokens, positions, rows, samples;
    std::vector<std::span<const int32_t>> tables;
    for (size_t i = 0; i < parts.size(); ++i) {
      for (size_t j = 0; j < parts[i].tokens.size(); ++j) {
        tokens.push_back(parts[i].tokens[j]);
        positions.push_back(parts[i].position + static_cast<int32_t>(j));
        rows.push_back(static_cast<int32_t>(i));
      }
      if (parts[i].sample) samples.push_back(static_cast<int32_t>(tokens.size()) - 1);
      tables.push_back(parts[i].blocks);
    }
    auto logits = model->forward({.tokens = tokens, .positions = positions, .rows = rows, .block_tables = tables,
                                  .sample_rows = samples});
    EXPECT_TRUE(logits.ok());
    std::vector<std::vector<float>> out;
    const auto vocab = static_cast<size_t>(model->spec().vocab);
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto row = logits->subspan(i * vocab, vocab);
      out.emplace_back(row.begin(), row.end());
    }
    return out;
  }

  static std::vector<int32_t> blocks_from(int32_t first) {
    std::vector<int32_t> blocks(16);
    std::iota(blocks.begin(), blocks.end(), first);
    return blocks;
  }

  std::vector<int32_t> greedy(std::vector<int32_t> tokens, int count, std::vector<int32_t> blocks) {
    std::vector<int32_t> out;
    int32_t position = 0;
    for (int i = 0; i < count; ++i) {
      const auto logits = run({{.tokens = tokens, .position = position, .blocks = blocks}})[0];
      position += static_cast<int32_t>(tokens.size());
      out.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      tokens = {out.back()};
    }
    return out;
  }
};

class Golden : public testing::TestWithParam<const char*> {};

// DESIGN asks for 1e-4 relative to the row's largest logit; what is seen is printed when it fails.
TEST_P(Golden, LogitsAndGreedyIdsAreThoseOfTransformers) {
  const std::string dir = std::string("tests/golden/models/") + GetParam();
  const json::object golden = read_json(dir + "/golden.json");
  Rig rig = Rig::load(dir, WeightFormat::kF32, KvFormat::kF32);
  const std::vector<int32_t> prompt = ids_of(golden.at("prompt"));
  const json::array& want_rows = golden.at("logits").as_array();
  // Token by token, so that the last positions' logits can be asked for.
  std::vector<std::vector<float>> rows;
  for (size_t i = 0; i < prompt.size(); ++i) {
    rows.push_back(rig.run({{.tokens = {prompt[i]}, .position = static_cast<int32_t>(i),
                             .blocks = Rig::blocks_from(0)}})[0]);
  }
  for (size_t r = 0; r < want_rows.size(); ++r) {
    const json::array& want = want_rows[r].as_array();
    const std::vector<float>& got = rows[rows.size() - want_rows.size() + r];
    ASSERT_EQ(want.size(), got.size());
    double largest = 0, worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(want[i].to_number<double>()));
      worst = std::max(worst, std::abs(want[i].to_number<double>() - static_cast<double>(got[i])));
    }
    EXPECT_LT(worst / largest, 1e-4) << "row " << r;
  }
  EXPECT_EQ(rig.greedy(prompt, static_cast<int>(golden.at("greedy").as_array().size()), Rig::blocks_from(20)),
            ids_of(golden.at("greedy")));
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values("llama3", "llama_tied", "llama_tied_lmhead", "qwen2", "qwen2_sharded", "qwen3"),
                         [](const auto& info) { return std::string(info.param); });

std::vector<int32_t> some_prompt(int length, int seed) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < length; ++i) tokens.push_back((i * 37 + seed * 11 + 5) % 250);
  return tokens;
}

struct Case {
  WeightFormat format;
  KvFormat kv;
};
class Invariance : public testing::TestWithParam<Case> {};

TEST_P(Invariance, SameBitsAloneInABatchInChunksAndWithThreads) {
  const std::string dir = "tests/golden/models/qwen3";
  Rig rig = Rig::load(dir, GetParam().format, GetParam().kv);
  const std::vector<int32_t> prompt = some_prompt(50, 1);
  const auto alone = rig.run({{.tokens = prompt, .blocks = Rig::blocks_from(0)}})[0];

  // In chunks of odd sizes, in other blocks (which hold another sequence's leavings).
  std::vector<float> chunked;
  std::vector<int32_t> blocks = Rig::blocks_from(16);
  std::reverse(blocks.begin(), blocks.end());
  for (int32_t begin = 0, sizes[] = {7, 1, 23, 19}, i = 0; i < 4; begin += sizes[i++]) {
    const std::vector<int32_t> chunk(prompt.begin() + begin, prompt.begin() + begin + sizes[i]);
    chunked = rig.run({{.tokens = chunk, .position = begin, .blocks = blocks}})[0];
  }
  EXPECT_EQ(alone, chunked);

  // Its last token as a decode beside others' prefill chunks and decodes.
  Rig::Part decode{.tokens = {prompt.back()}, .position = 49, .blocks = blocks};
  const auto batched = rig.run({{.tokens = some_prompt(30, 2), .blocks = Rig::blocks_from(32)},
                                decode,
                                {.tokens = some_prompt(20, 3), .blocks = Rig::blocks_from(48), .sample = false}});
  EXPECT_EQ(alone, batched[1]);

  Rig threaded = Rig::load(dir, GetParam().format, GetParam().kv, 2);
  EXPECT_EQ(alone, threaded.run({{.tokens = prompt, .blocks = Rig::blocks_from(5)}})[0]);
}

INSTANTIATE_TEST_SUITE_P(Formats, Invariance,
                         testing::Values(Case{WeightFormat::kF32, KvFormat::kF32}, Case{WeightFormat::kBF16, KvFormat::kBF16},
                                         Case{WeightFormat::kF16, KvFormat::kF16},
                                         Case{WeightFormat::kInt8G32, KvFormat::kBF16},
                                         Case{WeightFormat::kBF16, KvFormat::kInt8},
                                         Case{WeightFormat::kBF16, KvFormat::kInt4},
                                         Case{WeightFormat::kInt8G32, KvFormat::kInt4}),
                         [](const auto& info) {
                           return std::string(weight_format_name(info.param.format)) + "_kv_" +
                                  std::string(kv_format_name(info.param.kv));
                         });

TEST(Transformer, Int8StaysNearF32) {
  const std::string dir = "tests/golden/models/qwen2";
  Rig exact = Rig::load(dir, WeightFormat::kF32, KvFormat::kF32), quantised = Rig::load(dir, WeightFormat::kInt8G32, KvFormat::kBF16);
  const std::vector<int32_t> prompt = some_prompt(40, 4);
  const auto a = exact.run({{.tokens = prompt, .blocks = Rig::blocks_from(0)}})[0];
  const auto b = quantised.run({{.tokens = prompt, .blocks = Rig::blocks_from(0)}})[0];
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  // Random weights are the worst case: nothing in them is redundant. A broken scale or group gives less than 0.9.
  EXPECT_GT(dot / std::sqrt(aa * bb), 0.995);
}

// Mean Kullback-Leibler divergence, in nats, of the next token's distribution with this KV from the one with f32 KV,
// over every position of three prompts.
double divergence_from_f32(const std::string& model, KvFormat kv) {
  const std::string dir = "tests/golden/models/" + model;
  Rig exact = Rig::load(dir, WeightFormat::kF32, KvFormat::kF32), other = Rig::load(dir, WeightFormat::kF32, kv);
  const auto log_probabilities = [](const std::vector<float>& logits) {
    double sum = 0;
    for (const float x : logits) sum += std::exp(static_cast<double>(x));
    std::vector<double> out;
    for (const float x : logits) out.push_back(static_cast<double>(x) - std::log(sum));
    return out;
  };
  double total = 0;
  int count = 0;
  for (int seed = 1; seed <= 3; ++seed) {
    const std::vector<int32_t> prompt = some_prompt(80, seed);
    for (int32_t i = 0; i < 80; ++i, ++count) {
      const Rig::Part part{.tokens = {prompt[static_cast<size_t>(i)]}, .position = i, .blocks = Rig::blocks_from(0)};
      const auto p = log_probabilities(exact.run({part})[0]), q = log_probabilities(other.run({part})[0]);
      for (size_t t = 0; t < p.size(); ++t) total += std::exp(p[t]) * (p[t] - q[t]);
    }
  }
  return total / count;
}

class KvQuality : public testing::TestWithParam<const char*> {};

TEST_P(KvQuality, QuantisedKvStaysNearF32) {
  const double bf16 = divergence_from_f32(GetParam(), KvFormat::kBF16);
  const double int8 = divergence_from_f32(GetParam(), KvFormat::kInt8);
  const double int4 = divergence_from_f32(GetParam(), KvFormat::kInt4);
  // Measured: llama3, qwen2, qwen3 give int8 1.2e-4, 9.3e-5, 4.0e-5 and int4 2.9e-2, 2.4e-2, 1.2e-2 (bf16 3.0e-5,
  // 1.5e-5, 5.0e-6). The bits are the same everywhere, so the margin of 3 to 4 is for other rounding rules; a scale
  // or zero of another token or head gives more than 1e-1.
  EXPECT_LT(int8, 4e-4);
  EXPECT_LT(int4, 1e-1);
  EXPECT_GT(bf16, 0) << "the formats are really different";
  EXPECT_GT(int8, bf16);
  EXPECT_GT(int4, int8);
}

INSTANTIATE_TEST_SUITE_P(Families, KvQuality, testing::Values("llama3", "qwen2", "qwen3"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Transformer, TinyStories656KWritesWhatTransformersWrites) {
  const char* data = std::getenv("WEIR_DATA");
  const std::string dir = std::string(data ? data : "../shared/data") + "/models/TinyStories-656K";
  if (!std::filesystem::exists(dir)) GTEST_SKIP() << dir << " is absent";
  const json::object golden = read_json("tests/golden/tinystories_656k.json");
  Rig rig = Rig::load(dir, WeightFormat::kF32, KvFormat::kF32);
  const std::vector<int32_t> want = ids_of(golden.at("greedy"));
  ASSERT_EQ(want.size(), 120u);
  EXPECT_EQ(rig.greedy(ids_of(golden.at("prompt")), 120, Rig::blocks_from(0)), want);
}

// bf16 weights, computed in f32 on both sides.
TEST(Transformer, TheDemoModelWritesWhatTransformersWrites) {
  const json::object golden = read_json("tests/golden/weir_demo.json");
  Rig rig = Rig::load("models/weir-demo", WeightFormat::kF32, KvFormat::kF32);
  const std::vector<int32_t> want = ids_of(golden.at("greedy"));
  ASSERT_GE(want.size(), 60u);
  EXPECT_EQ(rig.greedy(ids_of(golden.at("prompt")), static_cast<int>(want.size()), Rig::blocks_from(0)), want);
}

// The trap: what is planned for a block is what the format takes, scales and padding included. The issue asks for 1.9
// and 3.5 times the tokens of bf16 at the shapes people deploy.
TEST(Transformer, kv_precision_counted) {
  auto backend = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  struct Shape {
    const char* model;
    int64_t layers, heads, kv_heads, head_dim;
  };
  for (const Shape& shape : {Shape{"Qwen2.5-0.5B", 24, 14, 2, 64}, {"TinyLlama", 22, 32, 4, 64}, {"Qwen2.5-3B", 36, 16, 2, 128}}) {
    ModelSpec spec = load_spec("tests/golden/models/qwen2").value();
    spec.layers = shape.layers, spec.heads = shape.heads, spec.kv_heads = shape.kv_heads, spec.head_dim = shape.head_dim;
    const auto block = [&](KvFormat kv) {
      const ModelOptions options{.kv_format = kv, .session_tokens = 4096, .step_tokens_max = 8, .sequences_max = 1};
      const uint64_t bytes = Transformer::needs(spec, options, backend->ops()).kv_block;
      EXPECT_EQ(bytes, (KvGeometry{kv, shape.layers, shape.kv_heads, shape.head_dim, 64}.block_bytes()));
      return static_cast<double>(bytes);
    };
    EXPECT_EQ(block(KvFormat::kF32), 2 * block(KvFormat::kBF16)) << shape.model;
    EXPECT_GE(block(KvFormat::kBF16) / block(KvFormat::kInt8), 1.9) << shape.model;
    EXPECT_GE(block(KvFormat::kBF16) / block(KvFormat::kInt4), 3.5) << shape.model;
  }
}

TEST(Transformer, NeedsAreWhatLoadTakes) {
  const ModelSpec spec = load_spec("tests/golden/models/llama3").value();
  auto backend = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  const ModelOptions small{.format = WeightFormat::kInt8G32, .session_tokens = 64, .step_tokens_max = 8, .sequences_max = 2};
  ModelOptions large = small;
  large.step_tokens_max = 64;
  large.session_tokens = 128;
  const ModelNeeds a = Transformer::needs(spec, small, backend->ops()), b = Transformer::needs(spec, large, backend->ops());
  EXPECT_LT(a.workspace, b.workspace);
  EXPECT_LT(a.weights, b.weights) << "the rotary tables follow the session";
  EXPECT_EQ(a.logits, round_up(2u * static_cast<uint64_t>(spec.vocab) * 4u, 64));
  EXPECT_EQ(a.kv_block, static_cast<uint64_t>(spec.layers * 2 * spec.kv_heads * 64 * spec.head_dim * 2));
}

}  // namespace
}  // namespace weir
