// What the Hugging Face library answered (tools/make_tokenizer_goldens.py), and llama.cpp's conformance strings.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <sstream>

#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

namespace json = boost::json;
using test::Ids;

Ids ids_of(const json::value& value) {
  Ids ids;
  for (const auto& id : value.as_array()) ids.push_back(static_cast<int32_t>(id.as_int64()));
  return ids;
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, SameIdsAndTexts) {
  const std::string base = std::string("tests/golden/tokenizer/") + GetParam();
  const auto t = Tokenizer::load(base + ".tokenizer.json");
  ASSERT_TRUE(t.ok()) << t.status().message();
  const json::value cases = json::parse(test::read_whole(base + ".cases.json"));
  const auto& texts = cases.at("texts").as_array();
  ASSERT_GT(texts.size(), 100u);
  for (const auto& row : texts) {
    const std::string text(row.at(0).as_string());
    const Ids full = ids_of(row.at(2));
    EXPECT_EQ(*(*t)->encode(text, false), ids_of(row.at(1))) << text;
    EXPECT_EQ(*(*t)->encode(text, true), full) << text;
    EXPECT_EQ(*(*t)->encode(text, false, false), ids_of(row.at(3))) << text;
    EXPECT_EQ((*t)->decode(full, false), row.at(4).as_string()) << text;
    EXPECT_EQ((*t)->decode(full, true), row.at(5).as_string()) << text;
  }
  for (const auto& row : cases.at("decodes").as_array()) {
    EXPECT_EQ((*t)->decode(ids_of(row.at(0)), false), row.at(1).as_string()) << json::serialize(row);
    EXPECT_EQ((*t)->decode(ids_of(row.at(0)), true), row.at(2).as_string()) << json::serialize(row);
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, Golden, testing::Values("llama3", "qwen2", "gpt2", "sentencepiece"));

struct Conformance {
  const char* vectors;    // ggml-vocab-NAME.gguf.inp and .out
  const char* tokenizer;  // under the data directory
};

class GgmlVocab : public testing::TestWithParam<Conformance> {};

TEST_P(GgmlVocab, SameIds) {
  const std::string dir = test::data_dir() + "/tokenizers";
  const std::string base = dir + "/ggml-vocab/ggml-vocab-" + GetParam().vectors + ".gguf";
  if (!std::filesystem::exists(base + ".inp")) GTEST_SKIP() << "no " << base << ".inp; set WEIR_DATA";
  const auto t = Tokenizer::load_dir(dir + GetParam().tokenizer);
  ASSERT_TRUE(t.ok()) << t.status().message();
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string inputs = test::read_whole(base + ".inp");
  std::istringstream expected(test::read_whole(base + ".out"));
  int count = 0;
  for (std::string line; std::getline(expected, line); ++count) {
    const size_t end = inputs.find(separator);
    const std::string text = inputs.substr(0, end);
    inputs.erase(0, end == std::string::npos ? end : end + separator.size());
    std::istringstream words(line);
    const Ids want{std::istream_iterator<int32_t>(words), {}};
    EXPECT_EQ(*(*t)->encode(text, false), want) << "case " << count << ": " << text;
  }
  EXPECT_GE(count, 40);
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, GgmlVocab,
                         testing::Values(Conformance{"gpt-2", "/hf/gpt2"}, Conformance{"qwen2", "/hf/qwen2"},
                                         Conformance{"llama-spm", "/hf/phi-3-mini"}),
                         [](const auto& info) {
                           std::string name = info.param.vectors;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace weir
