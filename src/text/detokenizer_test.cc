#include "text/detokenizer.h"

#include <gmock/gmock.h>

#include <random>

#include "text/tokenizer.h"
#include "text/tokenizer_test_util.h"
#include "text/unicode.h"

namespace weir {
namespace {

using test::Ids;
using testing::ElementsAre;

// Tokens as a chain of stages sees them, one output for each add() and one for finish().
std::vector<std::string> stream(std::vector<DecoderSpec> stages, const std::vector<std::string>& tokens) {
  const DecoderChain chain(std::move(stages));
  DecoderState state(&chain);
  std::vector<std::string> out;
  for (const auto& token : tokens) state.add(token, &out.emplace_back());
  state.finish(&out.emplace_back());
  return out;
}

DecoderSpec stage(DecoderSpec::Kind kind, std::string text = "", uint32_t start = 0, uint32_t stop = 0) {
  DecoderSpec spec{kind, std::move(text)};
  spec.start = start;
  spec.stop = stop;
  return spec;
}

using Kind = DecoderSpec::Kind;

TEST(Detokenizer, ByteLevelHoldsHalfCharacters) {
  EXPECT_THAT(stream({stage(Kind::kByteLevel)}, {"a", "ð", "Ł", "ĺĢ", "ĠÃ", "b", "Ã"}),
              ElementsAre("a", "", "", "😀", " ", "\uFFFDb", "", "\uFFFD"));
  EXPECT_THAT(stream({stage(Kind::kByteLevel)}, {"not in the alphabet"}), ElementsAre("not in the alphabet", ""));
}

TEST(Detokenizer, ByteFallbackHoldsHalfCharacters) {
  EXPECT_THAT(stream({stage(Kind::kByteFallback)}, {"<0xC3>", "<0xA9>", "x", "<0xC3>", "y", "<0x41>"}),
              ElementsAre("", "é", "x", "", "\uFFFDy", "A", ""));
  // What is no UTF-8 is one U+FFFD for each invalid part, and spoils nothing beside it.
  EXPECT_THAT(stream({stage(Kind::kByteFallback)}, {"<0x41>", "<0xFF>", "z"}), ElementsAre("A", "\uFFFD", "z", ""));
  EXPECT_THAT(stream({stage(Kind::kByteFallback)}, {"<0xE2>", "<0x82>", "<0xC3>", "<0xA9>"}),
              ElementsAre("", "", "\uFFFD", "é", ""));
  EXPECT_THAT(stream({stage(Kind::kByteFallback)}, {"<0xE2>", "<0x82>"}), ElementsAre("", "", "\uFFFD"));
  // To the stages behind it a run is one token.
  EXPECT_THAT(stream({stage(Kind::kByteFallback), stage(Kind::kStrip, " ", 1, 1)},
                     {"<0x20>", "<0x20>", "<0x41>", "<0x20>", " b"}),
              ElementsAre("", "", " A", "", "b", ""));
}

TEST(Detokenizer, StripWorksOnTheEndsOfAToken) {
  EXPECT_THAT(stream({stage(Kind::kStrip, " ", 1, 0)}, {" a", "  b"}), ElementsAre("a", " b", ""));
  EXPECT_THAT(stream({stage(Kind::kFuse), stage(Kind::kStrip, " ", 1, 0)}, {" ", " a", " b"}),
              ElementsAre("", " a", " b", ""));
  EXPECT_THAT(stream({stage(Kind::kFuse), stage(Kind::kStrip, " ", 0, 2)}, {"a ", " ", " ", "b ", " "}),
              ElementsAre("a", "", " ", "  b", "", ""));
}

TEST(Detokenizer, OtherStages) {
  EXPECT_THAT(stream({stage(Kind::kMetaspace, "▁")}, {"▁a", "▁b▁"}), ElementsAre("a", " b ", ""));
  EXPECT_THAT(stream({stage(Kind::kBpe, "</w>")}, {"a</w>", "b", "c</w>"}), ElementsAre("a", " b", "c", ""));
  EXPECT_THAT(stream({stage(Kind::kBpe, "</w>")}, {"a</w>b</w>", "c"}), ElementsAre("a", " b c", ""));
  EXPECT_THAT(stream({stage(Kind::kJoinWithSpaces)}, {"a", "b"}), ElementsAre("a", " b", ""));
  DecoderSpec replace = stage(Kind::kReplace, " ");
  replace.regex = Regex::literal("▁").value();
  EXPECT_THAT(stream({replace}, {"▁a▁", "b"}), ElementsAre(" a ", "b", ""));
  EXPECT_THAT(stream({stage(Kind::kFuse), replace}, {"▁a", "b"}), ElementsAre("", "", " ab"))
      << "a pattern may want all";
  replace.literal = "▁▁";
  EXPECT_THAT(stream({stage(Kind::kFuse), replace}, {"▁a▁", "▁▁", "b"}), ElementsAre("▁a", " ", "▁b", ""));
}

TEST(Detokenizer, StreamOfArbitraryIdsIsTheWholeDecode) {
  std::mt19937 rng(17);
  for (const char* name : {"llama3", "sentencepiece"}) {
    const auto t = Tokenizer::load(std::string("tests/golden/tokenizer/") + name + ".tokenizer.json").value();
    for (int round = 0; round < 3000; ++round) {
      Ids ids(rng() % 20);
      for (auto& id : ids) id = static_cast<int32_t>(rng() % static_cast<uint32_t>(t->vocab_size() + 3)) - 1;
      const bool skip = round % 2;
      Detokenizer detokenizer(t.get(), skip);
      std::string text;
      for (const int32_t id : ids) {
        detokenizer.add(id, &text);
        ASSERT_TRUE(utf8_valid(text)) << name << " round " << round;
      }
      detokenizer.finish(&text);
      ASSERT_EQ(text, t->decode(ids, skip)) << name << " round " << round;
    }
  }
}

}  // namespace
}  // namespace weir
