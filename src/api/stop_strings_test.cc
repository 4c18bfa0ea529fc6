#include "api/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace weir::api {
namespace {

struct Outcome {
  std::string text;
  bool found = false;
  bool operator==(const Outcome&) const = default;
};

Outcome feed_in_pieces(const StopSet& set, std::string_view text, size_t piece) {
  StopMatcher matcher(&set);
  Outcome out;
  for (size_t at = 0; at < text.size() && !out.found; at += piece) {
    out.found = matcher.feed(text.substr(at, piece), &out.text);
  }
  if (!out.found) matcher.flush(&out.text);
  return out;
}

// The definition itself: the match that ends first, the longest of those.
Outcome reference(const std::vector<std::string>& stops, std::string_view text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
  }
  return {std::string(text), false};
}

TEST(StopStrings, HeldBackUntilItIsNone) {
  const StopSet set({"END"});
  StopMatcher matcher(&set);
  std::string out;
  EXPECT_FALSE(matcher.feed("the E", &out));
  EXPECT_EQ(out, "the ");
  EXPECT_FALSE(matcher.feed("N", &out));
  EXPECT_EQ(out, "the ");
  EXPECT_FALSE(matcher.feed("C", &out));
  EXPECT_EQ(out, "the ENC");
  EXPECT_FALSE(matcher.feed("EN", &out));
  EXPECT_TRUE(matcher.feed("D and more", &out));
  EXPECT_EQ(out, "the ENC");
  EXPECT_TRUE(matcher.found());
}

TEST(StopStrings, AnAlmostMatchMayHoldTheRealOne) {
  EXPECT_EQ(feed_in_pieces(StopSet({"aab"}), "aaab!", 1), (Outcome{"a", true}));
  EXPECT_EQ(feed_in_pieces(StopSet({"abcabd"}), "abcabcabd", 1), (Outcome{"abc", true}));
  EXPECT_EQ(feed_in_pieces(StopSet({"abc", "b"}), "xabc", 4), (Outcome{"xa", true})) << "what ends first wins";
  EXPECT_EQ(feed_in_pieces(StopSet({"bc", "abc"}), "xabc", 1), (Outcome{"x", true})) << "and then the longest";
}

TEST(StopStrings, NeverSplitsACharacter) {
  const StopSet set({"\xE2\x82\xAC!"});  // the euro sign
  StopMatcher matcher(&set);
  std::string out;
  EXPECT_FALSE(matcher.feed("a\xE2\x82\xAC", &out));
  EXPECT_EQ(out, "a");
  EXPECT_FALSE(matcher.feed("\xE2\x82\xA9", &out));
  EXPECT_EQ(out, "a\xE2\x82\xAC\xE2\x82\xA9");
}

// Small alphabets make overlaps likely; the outcome must be the definition's, however the text is cut.
TEST(StopStrings, EveryCutGivesTheDefinition) {
  std::mt19937 random(20261123);
  int found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + random() % 4);
    for (auto& stop : stops) {
      for (size_t n = 1 + random() % 6; n > 0; --n) stop.push_back(static_cast<char>('a' + random() % 2));
    }
    std::string text;
    for (size_t n = random() % 24; n > 0; --n) text.push_back(static_cast<char>('a' + random() % 3));
    const Outcome want = reference(stops, text);
    found += want.found;
    const StopSet set(stops);
    for (const size_t piece : {1, 2, 3, 7, 100}) ASSERT_EQ(feed_in_pieces(set, text, piece), want) << text;
  }
  EXPECT_GT(found, 1000) << "the cases must be worth something";
}

// A text of which parts are hidden, as pieces: the seen ones and, between stars, the hidden ones.
Outcome feed_with_hidden(const std::vector<std::string>& stops, std::string_view text, size_t piece) {
  const StopSet set(stops);
  StopMatcher matcher(&set);
  Outcome out;
  bool hidden = false;
  while (!text.empty() && !out.found) {
    if (text.front() == '*') {
      hidden = !hidden;
      text.remove_prefix(1);
      continue;
    }
    const std::string_view next = text.substr(0, std::min(piece, text.find('*')));
    out.found = hidden ? matcher.feed_hidden(next, &out.text) : matcher.feed(next, &out.text);
    text.remove_prefix(next.size());
    EXPECT_LE(matcher.held_bytes(), StopSet::kStringBytesMax);
  }
  if (!out.found) matcher.flush(&out.text);
  return out;
}

// The definition: what ends first, in the text as it is seen or in all of it; the earliest beginning of those.
Outcome reference_with_hidden(const std::vector<std::string>& stops, std::string_view text) {
  std::string all, seen;
  std::vector<size_t> seen_before = {0};  // [byte of all]
  bool hidden = false;
  for (const char c : text) {
    if (c == '*') {
      hidden = !hidden;
      continue;
    }
    all.push_back(c);
    if (!hidden) seen.push_back(c);
    seen_before.push_back(seen.size());
    size_t cut = seen.size();
    bool found = false;
    for (const std::string& stop : stops) {
      if (all.ends_with(stop)) cut = std::min(cut, seen_before[all.size() - stop.size()]), found = true;
      if (!hidden && seen.ends_with(stop)) cut = std::min(cut, seen.size() - stop.size()), found = true;
    }
    if (found) return {seen.substr(0, cut), true};
  }
  return {seen, false};
}

TEST(StopStrings, HiddenTextStopsAndIsNeverGivenOut) {
  EXPECT_EQ(feed_with_hidden({"<e>"}, "ab*<e>*cd", 1), (Outcome{"ab", true}));
  EXPECT_EQ(feed_with_hidden({"b<e>c"}, "ab*<e>*cd", 9), (Outcome{"a", true}));
  EXPECT_EQ(feed_with_hidden({"bc"}, "ab*<e>*cd", 1), (Outcome{"a", true}));
  EXPECT_EQ(feed_with_hidden({"b<e>d"}, "ab*<e>*cd", 1), (Outcome{"abcd", false}));
  EXPECT_EQ(feed_with_hidden({}, "ab*<e>*cd", 1), (Outcome{"abcd", false}));
}

TEST(StopStrings, EveryCutOfHiddenTextGivesTheDefinition) {
  std::mt19937 random(20261130);
  int found = 0, only_hidden = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops(1 + random() % 3);
    for (auto& stop : stops) {
      for (size_t n = 1 + random() % 6; n > 0; --n) stop.push_back(static_cast<char>('a' + random() % 2));
    }
    std::string text;
    for (size_t n = random() % 24; n > 0; --n)
      text.push_back(random() % 6 == 0 ? '*' : static_cast<char>('a' + random() % 3));
    const Outcome want = reference_with_hidden(stops, text);
    std::string seen;
    for (bool hidden = false; const char c : text) {
      if (c == '*')
        hidden = !hidden;
      else if (!hidden)
        seen.push_back(c);
    }
    found += want.found;
    only_hidden += want.found && !reference(stops, seen).found;
    for (const size_t piece : {1, 2, 7, 100}) ASSERT_EQ(feed_with_hidden(stops, text, piece), want) << text;
  }
  EXPECT_GT(found, 1000) << "the cases must be worth something";
  EXPECT_GT(only_hidden, 200);
}

// Hidden text may go on for ever between two halves of what might become a stop string.
TEST(StopStrings, NotesOfHiddenTextAreBounded) {
  const StopSet set({"ab", "xxxxxxxxxy"});
  StopMatcher matcher(&set);
  std::string out;
  EXPECT_FALSE(matcher.feed("a", &out));
  for (int i = 0; i < 10000; ++i) ASSERT_FALSE(matcher.feed_hidden("x", &out));
  EXPECT_EQ(matcher.held_bytes(), 1u);
  EXPECT_TRUE(matcher.feed("b", &out));
  EXPECT_EQ(out, "");
}

}  // namespace
}  // namespace weir::api
