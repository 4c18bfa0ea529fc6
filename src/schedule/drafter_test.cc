#include "schedule/drafter.h"

#include <gtest/gtest.h>

#include <random>

#include "base/counting_resource.h"

namespace weir {
namespace {

using Tokens = std::vector<int32_t>;

Tokens draft_of(const Drafter& drafter, int place, const Tokens& text, size_t count) {
  Tokens out(count, -1);
  out.resize(static_cast<size_t>(drafter.draft(place, text, out)));
  return out;
}

Tokens draft_of(const Tokens& text, size_t count, int64_t session = 256) {
  Drafter drafter(1, session);
  EXPECT_EQ(drafter.read(0, text, 1 << 20), static_cast<int64_t>(text.size()));
  return draft_of(drafter, 0, text, count);
}

TEST(Drafter, GoesOnAsTheTextDidTheLastTime) {
  EXPECT_EQ(draft_of({1, 2, 3, 4, 5, 1, 2}, 3), (Tokens{3, 4, 5}));
  EXPECT_EQ(draft_of({1, 2, 7, 9, 1, 2, 8, 9, 1, 2}, 2), (Tokens{8, 9})) << "the last occurrence, not the first";
  EXPECT_EQ(draft_of({1, 2, 3, 4, 5, 6, 7}, 3), Tokens{}) << "nothing recurs";
  EXPECT_EQ(draft_of({1, 5, 2, 5}, 3), Tokens{}) << "one token alone says nothing";
  EXPECT_EQ(draft_of({4}, 3), Tokens{});
  EXPECT_EQ(draft_of({}, 3), Tokens{});
  EXPECT_EQ(draft_of({1, 2, 3, 1, 2}, 0), Tokens{});
}

TEST(Drafter, ALongerContextWinsOverANewerOne) {
  // 1 2 3 4 stood before 9; the later 3 4, of another context, before 8.
  EXPECT_EQ(draft_of({1, 2, 3, 4, 9, 7, 3, 4, 8, 6, 1, 2, 3, 4}, 1), Tokens{9});
  EXPECT_EQ(draft_of({5, 2, 3, 4, 9, 7, 3, 4, 8, 6, 1, 2, 3, 4}, 1), Tokens{9}) << "three";
  EXPECT_EQ(draft_of({5, 5, 3, 4, 9, 7, 3, 4, 8, 6, 1, 2, 3, 4}, 1), Tokens{8}) << "two: the newer";
}

TEST(Drafter, APeriodGoesOnBeyondTheEndOfTheText) {
  EXPECT_EQ(draft_of({7, 7, 7}, 5), (Tokens{7, 7, 7, 7, 7}));
  EXPECT_EQ(draft_of({1, 2, 3, 1, 2, 3}, 7), (Tokens{1, 2, 3, 1, 2, 3, 1}));
}

TEST(Drafter, ReadsOnInPieces) {
  Drafter drafter(1, 256);
  const Tokens text{1, 2, 3, 4, 5, 6, 1, 2};
  EXPECT_EQ(drafter.read(0, text, 2), 2);
  EXPECT_EQ(draft_of(drafter, 0, text, 2), Tokens{}) << "1 2 was read, what follows it was not";
  EXPECT_EQ(drafter.read(0, text, 3), 3);
  EXPECT_EQ(draft_of(drafter, 0, text, 2), (Tokens{3, 4}));
  EXPECT_EQ(drafter.read(0, text, 0), 0);
  EXPECT_EQ(drafter.read(0, text, -5), 0);
  EXPECT_EQ(drafter.read(0, text, 100), 3);
  EXPECT_EQ(drafter.read(0, text, 100), 0) << "once";
}

TEST(Drafter, PlacesDoNotMeetAndAnotherOccupantIsNotBelieved) {
  Drafter drafter(3, 64);
  const Tokens one{1, 2, 3, 4, 1, 2}, other{1, 2, 9, 8, 1, 2};
  drafter.read(0, one, 100);
  drafter.read(2, other, 100);
  EXPECT_EQ(draft_of(drafter, 0, one, 1), Tokens{3});
  EXPECT_EQ(draft_of(drafter, 2, other, 1), Tokens{9});
  EXPECT_EQ(draft_of(drafter, 1, one, 1), Tokens{});
  drafter.begin(0);
  const Tokens unlike{6, 5, 4, 3, 1, 2};  // 1 2 is new here, whatever the tables remember
  EXPECT_EQ(draft_of(drafter, 0, unlike, 1), Tokens{});
  drafter.read(0, unlike, 100);
  EXPECT_EQ(draft_of(drafter, 0, unlike, 1), Tokens{});
}

// Tables far too small for the text, few different tokens: hints are lost and collide all the time, and still every
// draft is how the text went on behind a real earlier occurrence of its last two tokens at least.
TEST(Drafter, EveryDraftIsARealContinuation) {
  std::mt19937 random(3);
  Drafter drafter(1, 16);
  Tokens text;
  int drafts = 0;
  for (int i = 0; i < 3000; ++i) {
    text.push_back(static_cast<int32_t>(random() % 9));
    drafter.read(0, text, 3);  // lags behind at times
    const Tokens draft = draft_of(drafter, 0, text, 3);
    if (draft.empty()) continue;
    ++drafts;
    bool real = false;
    for (size_t at = 2; at < text.size() && !real; ++at) {
      real = text[at - 1] == text[text.size() - 1] && text[at - 2] == text[text.size() - 2];
      for (size_t k = 0; k < 3 && real; ++k) real = draft[k] == (at + k < text.size() ? text[at + k] : draft[at + k - text.size()]);
    }
    ASSERT_TRUE(real) << "after " << text.size() << " tokens";
  }
  EXPECT_GT(drafts, 500);
}

TEST(Drafter, TakesWhatThePlanSays) {
  for (const int places : {0, 1, 5}) {
    for (const int64_t session : {1, 100, 4096, 1 << 20}) {
      CountingResource counting;
      const Drafter drafter(places, session, &counting);
      EXPECT_EQ(counting.bytes(), Drafter::bytes(places, session)) << places << " " << session;
    }
  }
  EXPECT_EQ(Drafter::bytes(0, 4096), 0u);
  EXPECT_EQ(Drafter::bytes(1, 1 << 20), Drafter::bytes(1, Drafter::kSlotsMax)) << "bounded";
}

}  // namespace
}  // namespace weir
