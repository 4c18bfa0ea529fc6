// Which ids end what, from what each file says.
#include "server/end_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The demo model's tokeniser: 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|>.
struct Files {
  std::vector<int64_t> config, generation;
  const char* eos = "";
  std::optional<int32_t> turn_end;

  EndTokens ends() const {
    static const std::unique_ptr<Tokenizer> tokenizer = std::move(Tokenizer::load_dir("models/weir-demo")).value();
    ModelSpec spec;
    spec.vocab = 3072;
    spec.eos_of_config = config;
    spec.eos_of_generation = generation;
    return end_tokens_of(spec, *tokenizer, eos, turn_end);
  }
};

TEST(Faults, end_token_known_to_one_file) {
  EXPECT_THAT((Files{.config = {}, .generation = {}, .eos = "<|im_end|>", .turn_end = 2}.ends().everything),
              ElementsAre(2));
  EXPECT_THAT((Files{.config = {0}, .generation = {1}, .eos = "<|im_end|>", .turn_end = {}}.ends().everything),
              ElementsAre(0, 1, 2));
  const EndTokens template_alone = Files{.config = {0}, .generation = {}, .eos = "", .turn_end = 2}.ends();
  EXPECT_THAT(template_alone.everything, ElementsAre(0));
  EXPECT_THAT(template_alone.chats, ElementsAre(2));
  EXPECT_EQ(template_alone.line,
            "end tokens: 0 '<|endoftext|>' (config.json); chats end with 2 '<|im_end|>' (the chat template's)");
}

TEST(EndTokens, OneLineWhereTheFilesDisagreeAndNoneWhereTheyDoNot) {
  EXPECT_THAT((Files{.config = {2}, .generation = {2}, .eos = "<|im_end|>", .turn_end = 2}.ends().line), IsEmpty());
  EXPECT_THAT((Files{.config = {2}, .generation = {}, .eos = "", .turn_end = 2}.ends().line), IsEmpty())
      << "silence is no contradiction";
  EXPECT_EQ((Files{.config = {2}, .generation = {2, 0}, .eos = "<|im_end|>", .turn_end = 2}.ends().line),
            "end tokens: 0 '<|endoftext|>' (generation_config.json), 2 '<|im_end|>' (generation_config.json, "
            "config.json, "
            "tokenizer_config.json)");
  EXPECT_FALSE((Files{.config = {2}, .generation = {0}, .eos = "", .turn_end = {}}.ends().unknown));
}

TEST(EndTokens, NoneAtAllIsSaid) {
  const EndTokens none = Files{}.ends();
  EXPECT_TRUE(none.unknown);
  EXPECT_THAT(none.line, HasSubstr("no end token is known"));
  EXPECT_TRUE((Files{.config = {}, .generation = {}, .eos = "<no such token>", .turn_end = {}}.ends().unknown));
  const EndTokens chats = Files{.config = {}, .generation = {}, .eos = "", .turn_end = 2}.ends();
  EXPECT_FALSE(chats.unknown);
  EXPECT_EQ(chats.line, "end tokens: chats end with 2 '<|im_end|>' (the chat template's)");
}

}  // namespace
}  // namespace weir
