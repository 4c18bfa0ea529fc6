#include "text/bpe.h"

#include <gmock/gmock.h>

#include <map>
#include <random>

#include "base/thread_time.h"

namespace weir {
namespace {

using testing::ElementsAre;
using Ids = std::vector<int32_t>;

BpeSpec letters(std::vector<std::pair<std::string, std::string>> merges) {
  BpeSpec spec;
  std::map<std::string, int32_t> ids;
  auto add = [&](const std::string& token) { ids.emplace(token, static_cast<int32_t>(ids.size())); };
  for (char c = 'a'; c <= 'h'; ++c) add(std::string(1, c));
  for (const auto& [left, right] : merges) add(left + right);
  spec.vocab.assign(ids.begin(), ids.end());
  spec.merges = std::move(merges);
  return spec;
}

Ids encode(const BpeModel& model, std::string_view text) {
  BpeScratch scratch;
  Ids ids;
  EXPECT_TRUE(model.encode(text, &scratch, &ids));
  return ids;
}

std::vector<std::string> tokens(const BpeModel& model, std::string_view text) {
  std::vector<std::string> out;
  for (const int32_t id : encode(model, text)) out.emplace_back(model.vocab().text(id));
  return out;
}

// The definition, word for word: find the lowest rank, merge its leftmost pair, again.
std::vector<std::string> by_definition(const BpeSpec& spec, std::string_view text) {
  std::vector<std::string> parts;
  for (const char c : text) parts.emplace_back(1, c);
  while (true) {
    size_t best = SIZE_MAX, best_rank = SIZE_MAX;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      for (size_t rank = 0; rank < std::min(best_rank, spec.merges.size()); ++rank) {
        if (spec.merges[rank] == std::pair(parts[i], parts[i + 1])) best = i, best_rank = rank;
      }
    }
    if (best == SIZE_MAX) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<long>(best) + 1);
  }
}

TEST(Bpe, EqualsTheDefinitionOnRandomVocabularies) {
  std::mt19937 rng(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> known = {"a", "b", "c", "d"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 12; ++i) {
      const auto& left = known[rng() % known.size()];
      const auto& right = known[rng() % known.size()];
      if (left.size() + right.size() > 8) continue;
      if (std::find(merges.begin(), merges.end(), std::pair(left, right)) != merges.end()) continue;
      merges.emplace_back(left, right);
      if (std::find(known.begin(), known.end(), left + right) == known.end()) known.push_back(left + right);
    }
    const BpeSpec spec = letters(merges);
    const auto text_model = BpeModel::build(spec, false).value();
    const auto byte_model = BpeModel::build(spec, true).value();
    for (const size_t length : {1, 2, 7, 23, 30, 60, 120}) {  // scan, heap, cut and uncut
      std::string text;
      for (size_t i = 0; i < length; ++i) text += "abcde"[rng() % 5];
      const auto want = by_definition(spec, text);
      ASSERT_EQ(tokens(*text_model, text), want) << "round " << round << " " << text;
      ASSERT_EQ(tokens(*byte_model, text), want) << "round " << round << " " << text;
    }
  }
}

TEST(Bpe, AMegabyteOfOneWordIsNotQuadratic) {
  const auto model = BpeModel::build(letters({{"a", "b"}, {"ab", "ab"}, {"b", "a"}, {"abab", "abab"}}), true).value();
  std::string word;
  while (word.size() < 1'000'000) word += "abababac";
  const Micros begin = thread_cpu_us();  // not the wall: others may have the processor
  const Ids ids = encode(*model, word);
  EXPECT_LT(thread_cpu_us() - begin, 10'000'000);
  EXPECT_EQ(ids.size(), word.size() / 8 * 4);  // abab, ab, a, c
}

TEST(Bpe, UnknownCharacters) {
  BpeSpec spec;
  spec.vocab = {{"<unk>", 0}, {"a", 1}, {"<0xC3>", 2}, {"<0xA9>", 3}, {"<0xE4>", 4}};
  spec.unk_token = "<unk>";
  auto build = [&] { return BpeModel::build(spec, false).value(); };
  EXPECT_THAT(encode(*build(), "aééa"), ElementsAre(1, 0, 0, 1));
  spec.fuse_unk = true;
  EXPECT_THAT(encode(*build(), "aééa"), ElementsAre(1, 0, 1));
  spec.byte_fallback = true;
  EXPECT_THAT(encode(*build(), "aéäa"), ElementsAre(1, 2, 3, 0, 1));  // ä is C3 A4, and there is no <0xA4>
  EXPECT_THAT(encode(*build(), "äéa"), ElementsAre(2, 3, 0, 1));      // the waiting unk lands after the bytes
  spec.unk_token = std::nullopt;
  EXPECT_THAT(encode(*build(), "aäa"), ElementsAre(1, 1));
  spec.unk_token = "missing";
  BpeScratch scratch;
  Ids ids;
  EXPECT_FALSE(build()->encode("ä", &scratch, &ids));
}

TEST(Bpe, FusedUnknownsAreNotCutApart) {
  BpeSpec spec;
  spec.vocab = {{"<unk>", 0}, {"a", 1}};
  spec.unk_token = "<unk>";
  spec.fuse_unk = true;
  const auto model = BpeModel::build(spec, false).value();
  EXPECT_THAT(encode(*model, "aaaaaéééééééééééééééééééa"), ElementsAre(1, 1, 1, 1, 1, 0, 1));
}

TEST(Bpe, IgnoreMergesTakesWholePiecesOnly) {
  BpeSpec spec = letters({{"a", "b"}});
  spec.vocab.emplace_back("abc", 100);  // no merge makes it
  const std::string text = "abc" + std::string(30, 'd') + "abc";
  for (const bool bytes : {false, true}) {
    spec.ignore_merges = false;
    EXPECT_EQ(tokens(*BpeModel::build(spec, bytes).value(), "abc"), (std::vector<std::string>{"ab", "c"}));
    spec.ignore_merges = true;
    EXPECT_EQ(tokens(*BpeModel::build(spec, bytes).value(), "abc"), (std::vector<std::string>{"abc"}));
    EXPECT_EQ(tokens(*BpeModel::build(spec, bytes).value(), text).size(), 34u);
  }
}

TEST(Bpe, MergesMustNameTokens) {
  BpeSpec spec = letters({{"a", "b"}});
  spec.merges.emplace_back("a", "z");
  EXPECT_EQ(BpeModel::build(spec, false).status().code(), Code::kDataLoss);
  spec.merges.back() = {"", "a"};
  EXPECT_EQ(BpeModel::build(spec, true).status().code(), Code::kDataLoss);
}

}  // namespace
}  // namespace weir
