// Files that lie: every one of them must end in a Status, and the message must say where.
#include "text/tokenizer_json.h"

#include <gmock/gmock.h>

#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"

namespace weir {
namespace {

using test::tokenizer_json;
using testing::HasSubstr;

void expect_error(const std::string& json, Code code, const std::string& message) {
  const auto tokenizer = Tokenizer::parse(json);
  ASSERT_FALSE(tokenizer.ok()) << json;
  EXPECT_EQ(tokenizer.status().code(), code) << tokenizer.status().message();
  EXPECT_THAT(tokenizer.status().message(), HasSubstr(message));
}

void expect_part_error(const std::string& part, Code code, const std::string& message) {
  expect_error(tokenizer_json(R"("a":0)", "", "," + part), code, message);
}

TEST(TokenizerJson, Truncated) {
  const std::string whole = test::read_whole("tests/golden/tokenizer/llama3.tokenizer.json");
  ASSERT_TRUE(Tokenizer::parse(whole).ok());
  for (size_t size = 0; size + 2 < whole.size(); size += 97) {
    EXPECT_EQ(Tokenizer::parse(whole.substr(0, size)).status().code(), Code::kDataLoss) << size;
  }
}

TEST(TokenizerJson, WrongTypesAndMissingParts) {
  expect_error("[]", Code::kDataLoss, "expected an object");
  expect_error("{}", Code::kDataLoss, "model is missing");
  expect_error(R"({"model":[]})", Code::kDataLoss, "model: expected an object");
  expect_error(R"({"model":{"type":"Unigram"}})", Code::kUnimplemented, "supported: BPE");
  expect_error(R"({"model":{"merges":[]}})", Code::kDataLoss, "vocab is missing");
  expect_error(R"({"model":{"vocab":{}}})", Code::kDataLoss, "merges must be an array");
  expect_error(tokenizer_json("", "3"), Code::kDataLoss, "model.merges[0]");
  expect_error(tokenizer_json("", R"("a")"), Code::kDataLoss, "model.merges[0]");
  expect_error(tokenizer_json("", R"("a b c")"), Code::kDataLoss, "one space");
  expect_error(tokenizer_json("", R"(["a"])"), Code::kDataLoss, "model.merges[0]");
  expect_error(tokenizer_json("", R"(["a", 1])"), Code::kDataLoss, "model.merges[0]");
  expect_error(tokenizer_json("", "", "", R"(,"fuse_unk":"yes")"), Code::kDataLoss, "fuse_unk must be true or false");
  expect_error(tokenizer_json("", "", "", R"(,"dropout":0.1)"), Code::kUnimplemented, "dropout");
  expect_error(tokenizer_json("", "", "", R"(,"end_of_word_suffix":"</w>")"), Code::kUnimplemented, "end_of_word");
}

TEST(TokenizerJson, IdsOutOfRangeOrClaimedTwice) {
  for (const char* id : {"-1", "4194304", "99999999999999999999", "1e3", "1.5", "\"7\"", "null", "true"}) {
    expect_error(tokenizer_json(std::string("\"a\":") + id, ""), Code::kDataLoss, "model.vocab");
    expect_part_error(std::string(R"("added_tokens":[{"content":"x","id":)") + id + "}]", Code::kDataLoss, "id");
  }
  expect_error(tokenizer_json(R"("a":1,"b":1)", ""), Code::kDataLoss, "claimed twice");
  expect_part_error(R"("added_tokens":[{"id":0,"content":"x"}])", Code::kDataLoss, "claimed twice");
  expect_part_error(R"("added_tokens":[{"id":1,"content":"a"}])", Code::kDataLoss, "claimed twice");
  expect_part_error(R"("added_tokens":[{"id":1,"content":")" + std::string(2000, 'x') + "\"}]", Code::kDataLoss, "longer");
  expect_part_error(R"("added_tokens":[3])", Code::kDataLoss, "added_tokens[0]");
  expect_part_error(R"("added_tokens":{})", Code::kDataLoss, "expected an array");
}

TEST(TokenizerJson, OneHugeIdCostsBoundedMemory) {
  const auto tokenizer = Tokenizer::parse(tokenizer_json(R"("a":0,"b":4194303)", ""));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), 4194304);
  EXPECT_LT((*tokenizer)->memory_bytes(), uint64_t{64} << 20);
  EXPECT_EQ((*tokenizer)->id_to_token(77), "");
}

TEST(TokenizerJson, UnknownComponentsAreNamed) {
  expect_part_error(R"("normalizer":{"type":"Precompiled"})", Code::kUnimplemented,
                    "normalizer: Precompiled is not supported; supported: Sequence, Prepend");
  expect_part_error(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"}]})",
                    Code::kUnimplemented, "pre_tokenizer.pretokenizers[0]: UnicodeScripts is not supported");
  expect_part_error(R"("decoder":{"type":"CTC"})", Code::kUnimplemented, "decoder: CTC");
  expect_part_error(R"("post_processor":{"type":"Other"})", Code::kUnimplemented, "TemplateProcessing");
}

TEST(TokenizerJson, BrokenComponents) {
  const std::string split = R"("pre_tokenizer":{"type":"Split","behavior":"Isolated","pattern":)";
  expect_part_error(split + R"({"Regex":"(a"}})", Code::kDataLoss, "does not compile");
  expect_part_error(split + R"({"String":""}})", Code::kDataLoss, "empty string");
  expect_part_error(split + "3}", Code::kDataLoss, "pattern must be");
  expect_part_error(R"("pre_tokenizer":{"type":"Split","behavior":"Sideways","pattern":{"String":"a"}})",
                    Code::kDataLoss, "behavior must be");
  expect_part_error(R"("pre_tokenizer":{"type":"Metaspace","replacement":"ab"})", Code::kDataLoss, "one character");
  expect_part_error(R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"x"})", Code::kDataLoss,
                    "always, never or first");
  expect_part_error(R"("normalizer":{"type":"Prepend"})", Code::kDataLoss, "prepend must be a string");
  expect_part_error(R"("normalizer":{"type":"Prepend","prepend":")" + std::string(5000, 'x') + "\"}", Code::kDataLoss,
                    "too long");
  expect_part_error(R"("decoder":{"type":"Strip","content":" ","start":-1,"stop":0})", Code::kDataLoss, "decoder.start");
  expect_part_error(R"("decoder":{"type":"BPEDecoder","suffix":""})", Code::kDataLoss, "suffix is empty");
  const std::string single = R"("post_processor":{"type":"TemplateProcessing","single":)";
  expect_part_error(single + R"([{"SpecialToken":{"id":"<s>"}}]})", Code::kDataLoss, "no ids for <s>");
  expect_part_error(single + R"([{"Sequence":{"id":"B"}}]})", Code::kDataLoss, "sequence A alone");
  expect_part_error(single + R"([{"Sequence":{"id":"A"}},{"Sequence":{"id":"A"}},{"Sequence":{"id":"A"}}]})",
                    Code::kDataLoss, "repeats the text");
}

TEST(TokenizerJson, NestingAndCountsAreBounded) {
  std::string deep;
  for (int i = 0; i < 500; ++i) deep += R"({"type":"Sequence","normalizers":[)";
  expect_part_error("\"normalizer\":" + deep, Code::kDataLoss, "JSON");
  std::string many = R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"})";
  for (int i = 0; i < 100; ++i) many += R"(,{"type":"NFC"})";
  expect_part_error(many + "]}", Code::kDataLoss, "too many components");
}

}  // namespace
}  // namespace weir
