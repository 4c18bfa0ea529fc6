#include "admission/front_door.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace weir {
namespace {

constexpr FrontDoorOptions kOptions{
    .running_max = 2, .queued_max = 3, .queued_tokens_max = 100, .session_tokens = 64, .pool_tokens = 48};

struct Fixture : testing::Test {
  Gateway gateway{5, 2, 1, 8};
  FrontDoor door{kOptions, &gateway};
  std::vector<Place> held;

  Fixture() {
    door.set_ready();
  }
  Status admit(int64_t tokens, int n = 1) {
    auto places = door.admit({.prompt_tokens = {tokens}, .n = n});
    if (!places.ok()) return places.status();
    for (auto& place : *places) held.push_back(std::move(place));
    return ok_status();
  }
};

using Traps = Fixture;
using FrontDoorTest = Fixture;

TEST_F(Traps, prompt_longer_than_pool) {
  const Status session = admit(64);
  EXPECT_EQ(session.code(), Code::kInvalidArgument);
  EXPECT_EQ(session.reason(), "prompt_too_long");
  EXPECT_NE(session.message().find("64"), std::string::npos);
  const Status pool = admit(48);
  EXPECT_EQ(pool.reason(), "prompt_over_pool");
  EXPECT_NE(pool.message().find("48"), std::string::npos);
  EXPECT_TRUE(admit(47).ok());
}

TEST_F(Traps, n_counts_as_one) {
  EXPECT_EQ(admit(4, 3).reason(), "too_many_sequences");
  ASSERT_TRUE(admit(4, 2).ok());
  ASSERT_TRUE(admit(4, 2).ok());
  EXPECT_EQ(door.admitted(), 4);
  EXPECT_EQ(admit(4, 2).reason(), "queue_full") << "one place is left and two are asked for";
  EXPECT_EQ(door.admitted(), 4) << "all or none";
  EXPECT_TRUE(admit(4).ok());
}

TEST_F(FrontDoorTest, QueueIsBoundedInRequestsAndTokens) {
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(admit(40).ok());
  gateway.load().running = 2;
  gateway.load().running_prompt_tokens = 80;
  ASSERT_TRUE(admit(45).ok());
  ASSERT_TRUE(admit(45).ok());
  const Status tokens = admit(11);
  EXPECT_EQ(tokens.code(), Code::kResourceExhausted);
  EXPECT_EQ(tokens.reason(), "queue_tokens_full");
  ASSERT_TRUE(admit(10).ok());
  EXPECT_EQ(admit(1).reason(), "queue_full");
  EXPECT_FALSE(door.knock().ok());
  held.pop_back();
  EXPECT_TRUE(door.knock().ok()) << "a returned place is usable at once";
}

TEST_F(FrontDoorTest, AKnockHoldsRoomUntilItIsAdmittedOrGivenUp) {
  std::vector<Knock> knocks;
  for (int i = 0; i < 5; ++i) {
    auto knock = door.knock();
    ASSERT_TRUE(knock.ok()) << i;
    knocks.push_back(std::move(*knock));
  }
  EXPECT_EQ(door.knock().status().reason(), "queue_full") << "two places and three that wait are spoken for";
  EXPECT_EQ(admit(4).reason(), "queue_full");
  auto places = door.admit({.prompt_tokens = {4}}, std::move(knocks.back()));
  EXPECT_TRUE(places.ok()) << "a knock takes its own room";
  knocks.pop_back();
  EXPECT_FALSE(door.knock().ok());
  knocks.pop_back();
  EXPECT_TRUE(door.knock().ok());
  EXPECT_EQ(door.admit({.prompt_tokens = {99}}, std::move(knocks.back())).status().reason(), "prompt_too_long");
  knocks.clear();
}

TEST_F(FrontDoorTest, BlockedHeadClosesTheStartRoom) {
  gateway.load().head_blocked = true;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(admit(4).ok());
  EXPECT_EQ(admit(4).reason(), "queue_full");
}

TEST_F(FrontDoorTest, StatesRefuse) {
  Gateway other_gateway{5, 2, 1, 8};
  FrontDoor loading(kOptions, &other_gateway);
  EXPECT_EQ(loading.admit({.prompt_tokens = {1}}).status().reason(), "not_ready");
  door.start_draining();
  EXPECT_EQ(admit(4).code(), Code::kUnavailable);
  EXPECT_EQ(admit(4).reason(), "draining");
}

TEST_F(FrontDoorTest, ShortOfMemoryRefusesWhatIsNotAdmittedYet) {
  ASSERT_TRUE(admit(4).ok());
  auto knock = door.knock();
  ASSERT_TRUE(knock.ok());
  EXPECT_EQ(door.retry_after_seconds(), 1);
  door.refuse_for_memory(true);
  EXPECT_EQ(door.knock().status().reason(), "memory_pressure");
  EXPECT_EQ(door.knock().status().code(), Code::kUnavailable);
  EXPECT_EQ(door.admit({.prompt_tokens = {4}}, std::move(*knock)).status().reason(), "memory_pressure");
  EXPECT_EQ(admit(64).reason(), "prompt_too_long") << "what can never fit is told so at any time";
  EXPECT_EQ(door.retry_after_seconds(), FrontDoor::kPressureRetrySeconds);
  EXPECT_TRUE(door.ready()) << "the model is loaded";
  EXPECT_EQ(door.admitted(), 1);
  door.refuse_for_memory(false);
  EXPECT_TRUE(admit(4).ok());
  door.refuse_for_memory(true);
  door.start_draining();
  EXPECT_EQ(admit(4).reason(), "draining");
}

TEST_F(FrontDoorTest, RetryAfterFollowsTheDrainRate) {
  EXPECT_EQ(door.retry_after_seconds(), 1);
  gateway.load().finish_interval_us = 2'000'000;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(admit(4).ok());
  gateway.load().running = 2;
  EXPECT_EQ(door.retry_after_seconds(), 8) << "three wait, this one is the fourth, two seconds each";
  gateway.load().finish_interval_us = 1'000'000'000;
  EXPECT_EQ(door.retry_after_seconds(), 60);
}

TEST_F(FrontDoorTest, ManyThreadsNeverOvershoot) {
  std::atomic<int> over{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        auto places = door.admit({.prompt_tokens = {1}, .n = 1 + i % 2});
        if (door.admitted() > 5) over.fetch_add(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(over.load(), 0);
  EXPECT_EQ(door.admitted(), 0);
}

}  // namespace
}  // namespace weir
