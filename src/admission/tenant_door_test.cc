// Tenants at the front door: their own limits, what a flood of one leaves for the others, tokens per minute.
#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "admission/front_door.h"

namespace weir {
namespace {

constexpr int kRunning = 4, kQueued = 20;
constexpr FrontDoorOptions kOptions{.running_max = kRunning,
                                    .queued_max = kQueued,
                                    .queued_tokens_max = 1000,
                                    .session_tokens = 600,
                                    .pool_tokens = 600};
constexpr Micros kSecond = 1'000'000;

class TenantDoor : public ::testing::Test {
 protected:
  TenantDoor() { door_.set_ready(); }

  void tenant(int32_t index, const TenantLimits& limits, int64_t weight_milli = 1000) {
    door_.set_tenant({index, now_}, limits, weight_milli);
    door_.deal_shares();
  }
  // Refusal's name, or "ok"; the places are kept.
  std::string admit(int32_t tenant, int64_t tokens = 1, int n = 1, int prompts = 1) {
    const Demand demand{.prompt_tokens = std::vector<int64_t>(static_cast<size_t>(prompts), tokens),
                        .n = n,
                        .visitor = {tenant, now_}};
    auto places = door_.admit(demand);
    if (!places.ok()) return places.status().reason();
    for (Place& place : *places) held_.push_back(std::move(place));
    return "ok";
  }
  std::optional<int64_t> level(int32_t tenant) {
    std::optional<int64_t> one;
    door_.bucket_levels({tenant, now_}, {&one, 1});
    return one;
  }
  void give_back_oldest(int count = 1) {
    for (; count > 0; --count) held_.pop_front();
  }
  // As many sequences as are let in, up to `most`.
  int flood(int32_t tenant, int most = 1000, int64_t tokens = 1) {
    int in = 0;
    while (in < most && admit(tenant, tokens) == "ok") ++in;
    return in;
  }

  Gateway gateway_{kRunning + kQueued, kRunning, 1, 8};
  FrontDoor door_{kOptions, &gateway_};
  std::deque<Place> held_;
  Micros now_ = 10 * kSecond;
};

TEST_F(TenantDoor, RunningAndWaitingTogetherAreBounded) {
  tenant(1, {.concurrent = 2, .queued = 1});
  EXPECT_EQ(flood(1), 3);
  EXPECT_EQ(admit(1), "tenant_queue_full");
  EXPECT_EQ(door_.knock({1, now_}).status().reason(), "tenant_queue_full")
      << "refused before its text is looked at";
  EXPECT_EQ(admit(2), "ok") << "nobody else's limit";
  give_back_oldest();
  EXPECT_EQ(admit(1), "ok") << "a returned place is usable at once";
  EXPECT_EQ(door_.tenant_counters(1).admitted, 4u);
}

TEST_F(TenantDoor, EverySequenceCounts) {
  tenant(1, {.concurrent = 2, .queued = 4});
  EXPECT_EQ(admit(1, 1, 2, 2), "ok") << "n = 2 for two prompts";
  EXPECT_EQ(admit(1, 1, 3), "tenant_queue_full") << "two are left, all or none";
  EXPECT_EQ(admit(1, 1, 2), "ok");
  tenant(2, {.concurrent = 1, .queued = 0});
  EXPECT_EQ(admit(2, 1, 2), "too_many_sequences") << "could never fit, so it is no 429";
}

TEST_F(TenantDoor, AKnockCountsForItsTenant) {
  tenant(1, {.concurrent = 1, .queued = 0});
  std::optional<Knock> knock = *door_.knock({1, now_});
  EXPECT_EQ(door_.knock({1, now_}).status().reason(), "tenant_queue_full");
  EXPECT_TRUE(door_.knock({2, now_}).ok());
  auto places = door_.admit({.prompt_tokens = {1}, .visitor = {1, now_}}, std::move(*knock));
  EXPECT_TRUE(places.ok()) << "a knock takes its own room";
  knock.reset();
  EXPECT_EQ(admit(1), "tenant_queue_full");
  places = not_found("gone");
  EXPECT_EQ(admit(1), "ok");
}

TEST_F(TenantDoor, QueuedAloneCountsOnTopOfAllPlaces) {
  tenant(1, {.queued = 2});
  EXPECT_EQ(flood(1), kRunning + 2);
  tenant(1, {.concurrent = 1});
  EXPECT_NE(admit(1), "tenant_queue_full") << "without `queued` only the shared queue bounds what waits";
}

// The rule of queue_shares.h: half of the queue is kept for those who hold less than their share.
TEST_F(TenantDoor, AFloodLeavesRoomForTheOthers) {
  tenant(1, {});
  EXPECT_EQ(flood(0), kRunning + kQueued - (kRunning + kQueued / 2) / 2) << "all but the other's share of 14";
  EXPECT_EQ(admit(0), "queue_full");
  EXPECT_EQ(flood(1), (kRunning + kQueued / 2) / 2) << "its share is there, to the last place";
  EXPECT_EQ(admit(1), "queue_full");
  give_back_oldest();  // one of the flood's
  EXPECT_EQ(admit(0), "ok") << "nobody lacks anything";
}

TEST_F(TenantDoor, AloneATenantHasAllOfTheQueue) { EXPECT_EQ(flood(0), kRunning + kQueued); }

TEST_F(TenantDoor, SharesFollowTheWeights) {
  tenant(0, {}, 1000);
  tenant(1, {}, 3000);
  tenant(2, {}, 3000);
  EXPECT_EQ(flood(0), kRunning + kQueued - kQueued / 2) << "never more than half of the queue is kept";
  EXPECT_EQ(flood(1), 6) << "14 x 3/7, and no more, because tenant 2 lacks all of its share";
  EXPECT_EQ(flood(2), 4) << "ten kept places for two shares of six";
}

TEST_F(TenantDoor, RunningPlacesAreKeptForNobody) {
  for (int32_t i = 1; i < 20; ++i) tenant(i, {});
  EXPECT_GE(flood(0, kRunning), kRunning) << "the machine does not idle for who is not there";
  EXPECT_EQ(flood(0), kQueued / 2);
  for (int32_t i = 1; i <= kQueued / 2; ++i) EXPECT_EQ(admit(i), "ok") << i;
  EXPECT_EQ(admit(11), "queue_full");
}

TEST_F(TenantDoor, WaitingPromptTokensAreSharedLikePlaces) {
  tenant(1, {});
  for (int i = 0; i < kRunning; ++i) ASSERT_EQ(admit(0), "ok");
  gateway_.load().running_prompt_tokens = kRunning;
  EXPECT_EQ(flood(0, 100, 250), 3) << "750 of 1000: 250 are the other's share of the kept 500";
  EXPECT_EQ(admit(0, 250), "queue_tokens_full");
  EXPECT_EQ(admit(1, 250), "ok");
}

TEST_F(TenantDoor, NothingIsKeptForATenantThatIsClosed) {
  tenant(1, {});
  door_.close_tenant(1);
  door_.deal_shares();
  EXPECT_EQ(flood(0), kRunning + kQueued);
}

TEST_F(TenantDoor, LimitsCanChangeWhileThingsRun) {
  tenant(1, {.concurrent = 2, .queued = 2});
  EXPECT_EQ(flood(1), 4);
  tenant(1, {.concurrent = 1, .queued = 0});
  EXPECT_EQ(admit(1), "tenant_queue_full") << "four are in, and stay";
  give_back_oldest(3);
  EXPECT_EQ(admit(1), "tenant_queue_full");
  held_.clear();
  EXPECT_EQ(admit(1), "ok");
  FrontDoorOptions smaller = kOptions;
  smaller.queued_max = 2;
  door_.set_options(smaller);
  held_.clear();
  EXPECT_EQ(flood(0), kRunning + 1) << "half of the smaller queue is kept";
}

TEST_F(TenantDoor, TokensPerMinuteCoverPromptsAndAnswers) {
  tenant(1, {.tokens_per_minute = 600});
  EXPECT_EQ(admit(1, 200, 2), "ok") << "every sequence's prompt";
  EXPECT_EQ(level(1), 200);
  door_.note_output(1, 150);
  EXPECT_EQ(level(1), 50) << "when they were produced";
  EXPECT_EQ(admit(1, 100), "ok") << "there was a token; the rest is debt";
  EXPECT_EQ(level(1), -50);
  EXPECT_EQ(admit(1), "tenant_tokens_per_minute");
  EXPECT_EQ(door_.knock({1, now_}).status().reason(), "tenant_tokens_per_minute");
  EXPECT_EQ(admit(0), "ok") << "nobody else's bucket";
  EXPECT_EQ(door_.tokens_wait_us({1, now_}), 5 * kSecond + 1);
  now_ += 5 * kSecond;
  EXPECT_EQ(admit(1), "tenant_tokens_per_minute");
  now_ += 1;
  EXPECT_EQ(admit(1), "ok");
}

TEST_F(TenantDoor, WhatNeverRanIsNotCharged) {
  tenant(1, {.concurrent = 2, .queued = 0, .tokens_per_minute = 600});
  auto places = door_.admit({.prompt_tokens = {100}, .n = 2, .visitor = {1, now_}});
  ASSERT_TRUE(places.ok());
  EXPECT_EQ(level(1), 400);
  for (Place& place : *places) door_.take_back(std::move(place));
  EXPECT_EQ(level(1), 600);
  EXPECT_EQ(door_.admitted(), 0);
  EXPECT_EQ(flood(1), 2);
}

TEST_F(TenantDoor, TheViewIsWhatHeadersSay) {
  const TenantView none = door_.tenant_view({1, now_});
  EXPECT_FALSE(none.sequences.has_value());
  EXPECT_FALSE(none.tokens.has_value());
  tenant(1, {.concurrent = 2, .queued = 3, .tokens_per_minute = 600});
  gateway_.load().finish_interval_us = 2 * kSecond;
  EXPECT_EQ(admit(1, 90, 2), "ok");
  const TenantView view = door_.tenant_view({1, now_});
  EXPECT_EQ(view.sequences->most, 5);
  EXPECT_EQ(view.sequences->left, 3);
  EXPECT_EQ(view.sequences->reset_us, 4 * kSecond) << "two sequences, two seconds each";
  gateway_.load().finish_interval_us = 0;
  EXPECT_EQ(door_.tenant_view({1, now_}).sequences->reset_us, kSecond) << "not known";
  EXPECT_EQ(view.tokens->most, 600);
  EXPECT_EQ(view.tokens->left, 420);
  EXPECT_EQ(view.tokens->reset_us, 18 * kSecond);
}

TEST_F(TenantDoor, RefusalsAreCountedForTheTenantToo) {
  door_.count_refusal(Refusal::kTenantTokens, 3);
  door_.count_refusal("tenant_tokens_per_minute", 3);
  door_.count_refusal("unauthenticated");
  EXPECT_EQ(door_.refusals(Refusal::kTenantTokens), 2u);
  EXPECT_EQ(door_.tenant_counters(3).refusals[static_cast<size_t>(Refusal::kTenantTokens)], 2u);
  EXPECT_EQ(door_.refusals(Refusal::kUnauthenticated), 1u);
}

}  // namespace
}  // namespace weir
