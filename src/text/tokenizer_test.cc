#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <thread>

#include "text/detokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

using test::Ids;
using testing::ElementsAre;

std::unique_ptr<Tokenizer> parse(const std::string& json) {
  auto tokenizer = Tokenizer::parse(json);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return std::move(tokenizer).value();
}

Ids encode(const Tokenizer& tokenizer, std::string_view text, bool special = false, bool parse_special = true) {
  auto ids = tokenizer.encode(text, special, parse_special);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return std::move(ids).value();
}

// a=0 b=1 ab=2 space=3 <s>=4 (special) <x>=5 (added) z=6.
std::string added_json(const std::string& options) {
  return test::tokenizer_json(
      R"("a":0,"b":1,"ab":2," ":3,"<":7,">":8,"s":9,"x":10)", R"(["a","b"])",
      R"(,"added_tokens":[{"id":4,"content":"<s>","special":true},{"id":5,"content":"<x>","normalized":false)" +
          options + "}]");
}

TEST(Tokenizer, SpecialTokensInTextOnlyWhenAsked) {
  const auto t = parse(added_json(""));
  EXPECT_THAT(encode(*t, "ab<s>a<x>"), ElementsAre(2, 4, 0, 5));
  EXPECT_THAT(encode(*t, "ab<s>a<x>", false, false), ElementsAre(2, 7, 9, 8, 0, 5));
  EXPECT_TRUE(t->is_special(4));
  EXPECT_FALSE(t->is_special(5));
  EXPECT_FALSE(t->is_special(-1));
  EXPECT_FALSE(t->is_special(1000));
}

TEST(Tokenizer, AddedTokensStripAndStandAlone) {
  EXPECT_THAT(encode(*parse(added_json(R"(,"lstrip":true)")), "a  <x> b"), ElementsAre(0, 5, 3, 1));
  EXPECT_THAT(encode(*parse(added_json(R"(,"rstrip":true)")), "a <x>  b"), ElementsAre(0, 3, 5, 1));
  const auto t = parse(added_json(R"(,"single_word":true)"));
  EXPECT_THAT(encode(*t, "a<x> <x> b"), ElementsAre(0, 7, 10, 8, 3, 5, 3, 1));
}

TEST(Tokenizer, LookupsBothWays) {
  const auto t = parse(added_json(""));
  EXPECT_EQ(t->vocab_size(), 11);
  EXPECT_EQ(t->token_to_id("ab"), 2);
  EXPECT_EQ(t->token_to_id("<x>"), 5);
  EXPECT_EQ(t->token_to_id("nothing"), std::nullopt);
  EXPECT_EQ(t->id_to_token(2), "ab");
  EXPECT_EQ(t->id_to_token(6), "");
  EXPECT_EQ(t->id_to_token(-5), "");
  EXPECT_EQ(t->id_to_token(INT32_MAX), "");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const auto t = parse(added_json(""));
  const auto ids = t->encode("ab\xFF", false);
  EXPECT_EQ(ids.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(ids.status().message(), testing::HasSubstr("byte 2"));
}

TEST(Tokenizer, TokenBytesMayBeHalfACharacter) {
  const auto bytes = Tokenizer::load("tests/golden/tokenizer/llama3.tokenizer.json").value();
  EXPECT_EQ(bytes->token_bytes(*bytes->token_to_id("Ã")), "\xC3");
  EXPECT_EQ(bytes->token_bytes(*bytes->token_to_id("Ġ")), " ");
  EXPECT_EQ(bytes->token_bytes(-1), "");
  const auto pieces = Tokenizer::load("tests/golden/tokenizer/sentencepiece.tokenizer.json").value();
  EXPECT_EQ(pieces->token_bytes(*pieces->token_to_id("<0xE2>")), "\xE2");
  EXPECT_EQ(pieces->token_bytes(*pieces->token_to_id("▁")), " ");
}

TEST(Tokenizer, ThreadsMayShareOne) {
  const auto t = Tokenizer::load("tests/golden/tokenizer/llama3.tokenizer.json").value();
  const std::string text = test::read_whole("tests/golden/tokenizer/gpt2.cases.json");
  const Ids want = encode(*Tokenizer::load("tests/golden/tokenizer/llama3.tokenizer.json").value(), text);
  std::vector<std::thread> threads;
  std::vector<Ids> got(4);
  for (auto& ids : got) threads.emplace_back([&] { ids = *t->encode(text, false); });
  for (auto& thread : threads) thread.join();
  for (const Ids& ids : got) EXPECT_EQ(ids, want);
}

TEST(Tokenizer, MissingFilesAreNamed) {
  EXPECT_EQ(Tokenizer::load("tests/golden/no-such/tokenizer.json").status().code(), Code::kNotFound);
  EXPECT_EQ(Tokenizer::load("tests/golden").status().code(), Code::kFailedPrecondition);  // a folder
  const Status status = Tokenizer::load_dir("tests/golden/no-such").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), testing::HasSubstr("vocab.json"));
}

// A repository without tokenizer.json, in a folder of its own.
class VocabAndMerges : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "weir_tokenizer_test_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_);
    write("vocab.json", R"({"a":0,"b":1,"ab":2,"Ġ":3,"Ã":4,"©":5,"Ã©":6,"e":7,"1":8})");
    write("merges.txt", "#version: 0.2\r\na b\r\nÃ ©\n\n");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(dir_ + "/" + name) << text; }
  void write_config(const std::string& parts) { write("tokenizer_config.json", "{" + parts + "}"); }

  std::string dir_;
};

TEST_F(VocabAndMerges, ClassDecidesNormaliserAndSplit) {
  write_config(R"("tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{"9":{"content":"<e>","special":true}})");
  const auto qwen = Tokenizer::load_dir(dir_);
  ASSERT_TRUE(qwen.ok()) << qwen.status().message();
  EXPECT_THAT(encode(**qwen, "ab e\u0301 11<e>"), ElementsAre(2, 3, 6, 3, 8, 8, 9));
  EXPECT_EQ((*qwen)->decode(Ids{2, 3, 6, 9}, true), "ab é");
  write_config(R"("tokenizer_class":"GPT2TokenizerFast","add_bos_token":true,"bos_token":{"content":"b"})");
  const auto gpt2 = Tokenizer::load_dir(dir_);
  ASSERT_TRUE(gpt2.ok()) << gpt2.status().message();
  EXPECT_THAT(encode(**gpt2, "ab", true), ElementsAre(1, 2));
}

TEST_F(VocabAndMerges, ConfigAsPythonWritesIt) {
  write("tokenizer_config.json",
        "\xef\xbb\xbf{\"tokenizer_class\": \"GPT2Tokenizer\", \"model_max_length\": Infinity, \"x\": NaN}\n");
  const auto loaded = Tokenizer::load_dir(dir_);
  EXPECT_TRUE(loaded.ok()) << loaded.status().message();
}

TEST_F(VocabAndMerges, BrokenRepositories) {
  auto code = [&] { return Tokenizer::load_dir(dir_).status().code(); };
  EXPECT_EQ(code(), Code::kNotFound);  // no tokenizer_config.json
  write_config(R"("tokenizer_class":"LlamaTokenizer")");
  EXPECT_EQ(code(), Code::kUnimplemented);
  write_config(R"("tokenizer_class":"Qwen2Tokenizer","added_tokens_decoder":{"x":{"content":"<e>"}})");
  EXPECT_EQ(code(), Code::kDataLoss);
  write_config(R"("tokenizer_class":"Qwen2Tokenizer","add_bos_token":true,"bos_token":"nowhere")");
  EXPECT_EQ(code(), Code::kDataLoss);
  write("merges.txt", "a b c\n");
  EXPECT_EQ(code(), Code::kDataLoss);
  write("merges.txt", "a \xFF\n");
  EXPECT_EQ(code(), Code::kDataLoss);
}

}  // namespace
}  // namespace weir
