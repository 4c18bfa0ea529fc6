#include "text/pretokenizer.h"

#include <gmock/gmock.h>

#include <random>

#include "base/thread_time.h"
#include "text/unicode.h"

namespace weir {
namespace {

using testing::ElementsAre;
using Kind = PretokenizerSpec::Kind;

std::vector<std::string> split(std::vector<PretokenizerSpec> steps, std::string text, bool at_start = true) {
  Pieces pieces;
  pieces.text = std::move(text);
  const Status status = Pretokenizer(std::move(steps)).split(at_start, &pieces);
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<std::string> out;
  for (const Span& s : pieces.spans) out.push_back(pieces.text.substr(s.begin, s.end - s.begin));
  return out;
}

PretokenizerSpec regex(std::string_view pattern, SplitBehavior behavior, bool invert = false) {
  PretokenizerSpec spec{Kind::kSplit};
  spec.regex = Regex::compile(pattern).value();
  spec.behavior = behavior;
  spec.invert = invert;
  return spec;
}

PretokenizerSpec scanner(ScanPattern pattern) {
  PretokenizerSpec spec{Kind::kScan};
  spec.scan = pattern;
  return spec;
}

TEST(Pretokenizer, ScannersOnTextWithEveryRule) {
  EXPECT_THAT(split({scanner(ScanPattern::kGpt2)}, "I'll say'S  12345\n\n x!?\t"),
              ElementsAre("I", "'ll", " say", "'", "S", " ", " 12345", "\n\n", " x", "!?", "\t"));
  EXPECT_THAT(split({scanner(ScanPattern::kLlama3)}, "I'LL say'S  12345\n\n x!?\r\n\t y"),
              ElementsAre("I", "'LL", " say", "'S", " ", " ", "123", "45", "\n\n", " x", "!?\r\n", "\t", " y"));
  EXPECT_THAT(split({scanner(ScanPattern::kQwen2)}, "a12 \n b'\u017F"),
              ElementsAre("a", "1", "2", " \n", " b", "'\u017F"));
}

TEST(Pretokenizer, ScannersEqualTheRegexOnRandomText) {
  const std::pair<ScanPattern, std::string_view> patterns[] = {
      {ScanPattern::kGpt2, kGpt2Regex}, {ScanPattern::kLlama3, kLlama3Regex}, {ScanPattern::kQwen2, kQwen2Regex}};
  const std::u32string alphabet = U"aBsStTlLdDmMrReEvV''  \t\n\n\r09½٣²éЖ中あ\u0301\u00A0\u3000\u2028.,!-_😀\u017F";
  std::mt19937 rng(11);
  for (int round = 0; round < 4000; ++round) {
    std::string text;
    for (unsigned n = rng() % 40 + 1; n > 0; --n) utf8_append(alphabet[rng() % alphabet.size()], &text);
    for (const auto& [pattern, source] : patterns) {
      ASSERT_EQ(split({scanner(pattern)}, text), split({regex(source, SplitBehavior::kIsolated)}, text))
          << "round " << round << " text " << text;
    }
  }
}

TEST(Pretokenizer, PatternStringsAreMatchedExactly) {
  EXPECT_EQ(scan_pattern_for(kLlama3Regex), ScanPattern::kLlama3);
  EXPECT_EQ(scan_pattern_for(std::string(kLlama3Regex) + " "), std::nullopt);
}

// The expected pieces are those of the Hugging Face tokenizers library 0.22.2.
TEST(Pretokenizer, SplitBehaviors) {
  const char* text = "--a-b--c-";
  EXPECT_THAT(split({regex("-", SplitBehavior::kRemoved)}, text), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split({regex("-", SplitBehavior::kRemoved, true)}, text), ElementsAre("-", "-", "-", "-", "-", "-"));
  EXPECT_THAT(split({regex("-", SplitBehavior::kMergedWithPrevious)}, text),
              ElementsAre("-", "-", "a-", "b-", "-", "c-"));
  EXPECT_THAT(split({regex("-", SplitBehavior::kMergedWithNext)}, text),
              ElementsAre("-", "-a", "-b", "-", "-c", "-"));
  EXPECT_THAT(split({regex("-", SplitBehavior::kMergedWithNext, true)}, text),
              ElementsAre("-", "-", "a-", "b-", "-", "c-"));
  EXPECT_THAT(split({regex("-", SplitBehavior::kContiguous)}, text), ElementsAre("--", "a", "-", "b", "--", "c", "-"));
  EXPECT_THAT(split({regex("x*", SplitBehavior::kIsolated)}, "axxbc"), ElementsAre("a", "xx", "b", "c"));
  EXPECT_THAT(split({regex("x*", SplitBehavior::kMergedWithPrevious)}, "axxbc"), ElementsAre("axx", "b", "c"));
}

TEST(Pretokenizer, CharacterClasses) {
  PretokenizerSpec digits{Kind::kDigits};
  EXPECT_THAT(split({digits}, "a12½b"), ElementsAre("a", "12½", "b"));
  digits.individual_digits = true;
  EXPECT_THAT(split({digits}, "a12b"), ElementsAre("a", "1", "2", "b"));
  EXPECT_THAT(split({{Kind::kPunctuation}}, "a$b，c"), ElementsAre("a", "$", "b", "，", "c"));
  EXPECT_THAT(split({{Kind::kWhitespaceSplit}}, " a  b\u3000c "), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split({{Kind::kWhitespace}}, "aéb_c ab\u200Dc!?d，e"),
              ElementsAre("aéb_c", "ab\u200Dc", "!?", "d", "，", "e"));
}

TEST(Pretokenizer, MetaspacePrependsBySchemeAndPlace) {
  PretokenizerSpec spec{Kind::kMetaspace};
  EXPECT_THAT(split({spec}, "a b", false), ElementsAre("▁a", "▁b"));
  EXPECT_THAT(split({spec}, " a b"), ElementsAre("▁a", "▁b"));
  spec.prepend = PrependScheme::kFirst;
  EXPECT_THAT(split({spec}, "a b", true), ElementsAre("▁a", "▁b"));
  EXPECT_THAT(split({spec}, "a b", false), ElementsAre("a", "▁b"));
  spec.split = false;
  EXPECT_THAT(split({{Kind::kWhitespaceSplit}, spec}, "  a b"), ElementsAre("a", "b"));  // neither is at the start
  spec.prepend = PrependScheme::kNever;
  EXPECT_THAT(split({spec}, "a b"), ElementsAre("a▁b"));
}

TEST(Pretokenizer, ByteLevelPrefixesEveryPieceAndMapsUnlessLast) {
  PretokenizerSpec bytes{Kind::kByteLevel};
  EXPECT_THAT(split({bytes}, "é b"), ElementsAre(" é", " b"));
  EXPECT_TRUE(Pretokenizer({bytes}).yields_bytes());
  bytes.add_prefix_space = false;
  EXPECT_THAT(split({bytes, {Kind::kWhitespaceSplit}}, "é b"), ElementsAre("Ã©", "Ġb"));
}

TEST(Pretokenizer, AHostilePatternEndsWithAStatus) {
  Pieces pieces;
  pieces.text = std::string(4000, 'a') + "b";
  const Micros begin = thread_cpu_us();  // not the wall: others may have the processor
  const Status status = Pretokenizer({regex("(a|a)+$|(?:a*)*c", SplitBehavior::kIsolated)}).split(true, &pieces);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_LT(thread_cpu_us() - begin, 30'000'000);
}

TEST(Pretokenizer, PatternsThatCannotBeUsed) {
  EXPECT_EQ(Regex::compile("(unclosed").status().code(), Code::kDataLoss);
  EXPECT_EQ(Regex::compile("[a-z&&[b]]").status().code(), Code::kUnimplemented);
  EXPECT_EQ(Regex::compile("\\C").status().code(), Code::kDataLoss);
  EXPECT_EQ(Regex::compile(std::string(200, '(') + std::string(200, ')')).status().code(), Code::kDataLoss);
  EXPECT_EQ(Regex::compile(std::string(9000, 'a')).status().code(), Code::kUnimplemented);
  EXPECT_EQ(Regex::literal("").status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace weir
