#include "api/roster.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir::api {
namespace {

constexpr int kSlots = 600;

struct RosterTest : testing::Test {
  Gateway gateway{kSlots, 4, 1, 8};
  Roster roster{kSlots};

  void enter(SlotIndex slot, std::string_view id, int32_t tenant, WaitReason why, int ahead, Micros arrival = 1) {
    WaitView& wait = gateway.channel(slot).wait;
    wait.begin();
    wait.reason = why;
    wait.ahead = ahead;
    roster.enter(slot, {.request_id = id, .tenant = tenant, .prompt_tokens = 5, .max_tokens = 9, .arrival_us = arrival});
  }
};

TEST_F(RosterTest, RunningOnesFirstThenTheWaitingInTheirOrder) {
  enter(5, "third", 1, WaitReason::kOrder, 1);
  enter(0, "second", 1, WaitReason::kPlace, 0);
  enter(599, "first", 2, WaitReason::kNone, 7);
  enter(300, "fourth", 2, WaitReason::kOrder, 2);
  roster.note_progress(599, 3);
  const auto view = roster.collect(gateway, {}, 10);
  ASSERT_EQ(view.seen.size(), 4u);
  EXPECT_EQ(view.seen[0].request_id, "first");
  EXPECT_EQ(view.seen[0].output_tokens, 3);
  EXPECT_EQ(view.seen[1].request_id, "second");
  EXPECT_EQ(view.seen[1].why, WaitReason::kPlace);
  EXPECT_EQ(view.seen[2].request_id, "third");
  EXPECT_EQ(view.seen[3].ahead, 2);
  EXPECT_EQ(view.running, 1u);
  EXPECT_EQ(view.waiting, 3u);
}

TEST_F(RosterTest, ShowsOnesOwnAndNoMoreThanAsked) {
  for (SlotIndex slot = 0; slot < kSlots; ++slot) {
    enter(slot, slot % 2 == 0 ? "mine" : "theirs", static_cast<int32_t>(slot % 2), WaitReason::kOrder, kSlots - slot);
  }
  const auto view = roster.collect(gateway, 0, 3);
  EXPECT_EQ(view.waiting, 300u);
  ASSERT_EQ(view.seen.size(), 3u);
  for (const auto& one : view.seen) EXPECT_EQ(one.request_id, "mine");
  EXPECT_EQ(view.seen[0].ahead, 2) << "the last slot that is mine is the first in the order";
}

TEST_F(RosterTest, WhoLeftIsNotShown) {
  enter(7, "gone", 1, WaitReason::kNone, 0);
  roster.note_progress(7, 4);
  roster.leave(7);
  EXPECT_TRUE(roster.collect(gateway, {}, 10).seen.empty());
  enter(7, "next", 1, WaitReason::kNone, 0);
  EXPECT_EQ(roster.collect(gateway, {}, 10).seen.at(0).output_tokens, 0) << "the next one begins anew";
  EXPECT_GT(Roster::bytes(kSlots), kSlots * sizeof(Roster::Entry));
}

TEST_F(RosterTest, ReadersAndWritersAtOnce) {
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop.load()) {
      for (const auto& one : roster.collect(gateway, 1, 50).seen) ASSERT_EQ(one.request_id, "mine");
    }
  });
  for (int round = 0; round < 200; ++round) {
    for (SlotIndex slot = 0; slot < 64; ++slot) {
      roster.enter(slot, {.request_id = (slot + round) % 2 == 0 ? "mine" : "theirs", .tenant = static_cast<int32_t>((slot + round) % 2 == 0)});
    }
    for (SlotIndex slot = 0; slot < 64; ++slot) roster.leave(slot);
  }
  stop = true;
  reader.join();
}

}  // namespace
}  // namespace weir::api
