#include "admission/front_door.h"

#include <gtest/gtest.h>

#include <algorithm>
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

// What its tenant's share of the pool could never hold is told so at the door, and others are not concerned.
TEST_F(FrontDoorTest, ARequestLargerThanItsTenantsShareOfThePoolIsTold) {
  gateway.tenants().knobs[3].kv_share_milli = 500;
  door.set_tenant({3, 0}, {}, 1000);
  door.deal_shares();
  const auto as_tenant = [&](int64_t tokens, int64_t guaranteed = 0) {
    auto places = door.admit({.prompt_tokens = {tokens}, .guaranteed_tokens = guaranteed, .visitor = {3, 0}});
    return places.ok() ? ok_status() : places.status();
  };
  EXPECT_TRUE(as_tenant(23).ok());
  const Status refused = as_tenant(24);
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_EQ(refused.reason(), "prompt_over_pool");
  EXPECT_NE(refused.message().find("may hold 24"), std::string::npos) << refused.message();
  EXPECT_EQ(as_tenant(10, 30).reason(), "prompt_over_pool") << "with its guarantee";
  EXPECT_TRUE(admit(47).ok()) << "others have the whole pool";
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

// What a limit was at start, or was raised to since, divides a request that is wrong from one that comes too early.
using Faults = Fixture;

TEST_F(Faults, n_above_a_patched_limit) {
  const FrontDoorOptions usual = door.options();
  FrontDoorOptions limits = usual;
  limits.running_max = 1;
  door.set_options(limits);
  const Status early = admit(4, 2);
  EXPECT_EQ(early.code(), Code::kResourceExhausted);
  EXPECT_EQ(early.reason(), "limit_lowered");
  EXPECT_NE(early.message().find("at most 1"), std::string::npos) << early.message();
  EXPECT_EQ(admit(4, 3).reason(), "too_many_sequences");
  EXPECT_EQ(door.running_max_ever(), 2);
  EXPECT_EQ(door.admitted(), 0);
  limits.running_max = 3;
  limits.queued_max = usual.queued_max - 1;
  door.set_options(limits);
  EXPECT_EQ(door.running_max_ever(), 3);
  ASSERT_TRUE(admit(4, 3).ok()) << "a raised limit counts";
  held.clear();
  door.set_options(usual);
  EXPECT_EQ(admit(4, 3).reason(), "too_many_sequences")
      << "and one that was lowered to what it was at start is no lowered one";
}

TEST_F(Faults, a_share_of_a_patched_pool_and_a_tenants_own_limit) {
  gateway.tenants().knobs[3].kv_share_milli = 500;
  door.set_tenant({3, 0}, {.queued = 1}, 1000);
  door.deal_shares();
  const FrontDoorOptions usual = door.options();
  const auto as_tenant = [&](int64_t tokens, int n = 1, int64_t guaranteed = 0) {
    auto places =
        door.admit({.prompt_tokens = {tokens}, .n = n, .guaranteed_tokens = guaranteed, .visitor = {3, 0}});
    return places.ok() ? std::string("ok") : places.status().reason();
  };
  FrontDoorOptions limits = usual;
  limits.pool_tokens = 24;
  door.set_options(limits);
  EXPECT_EQ(as_tenant(20), "limit_lowered") << "half of the pool of now is 12";
  EXPECT_EQ(as_tenant(24), "prompt_over_pool") << "half of the usual one is 24";
  EXPECT_EQ(as_tenant(10, 1, 20), "limit_lowered");
  EXPECT_EQ(admit(30).reason(), "limit_lowered");
  limits = usual;
  limits.running_max = 1;
  door.set_options(limits);
  EXPECT_EQ(as_tenant(4, 2), "limit_lowered");
  EXPECT_EQ(as_tenant(4, 4), "too_many_sequences");
  door.set_options(usual);
  EXPECT_EQ(as_tenant(20), "ok");
}

TEST_F(Faults, a_request_above_patched_queue_tokens) {
  FrontDoorOptions limits = door.options();
  limits.queued_tokens_max = 10;
  door.set_options(limits);
  EXPECT_EQ(admit(20).reason(), "limit_lowered");
  EXPECT_EQ(admit(40, 2).reason(), "limit_lowered");
  door.start_draining();
  EXPECT_EQ(admit(20).reason(), "draining") << "what will not pass comes before what may";
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

TEST_F(FrontDoorTest, AnIdleEngineStartsAtOnceWhateverWasForecastLast) {
  gateway.load().start_in_us_p90[0] = 30'000'000;
  EXPECT_EQ(door.retry_after_seconds(), 1);
  EXPECT_EQ(door.estimate(0).start_p90_us, 0);
  gateway.load().running = 1;
  EXPECT_EQ(door.retry_after_seconds(), 30);
  EXPECT_EQ(door.estimate(0).start_p90_us, 30'000'000);
}

TEST_F(FrontDoorTest, RetryAfterIsThePredictedStartOfTheClass) {
  gateway.load().running = 2;
  gateway.load().finish_interval_us = 2'000'000;
  gateway.load().start_in_us_p90[0] = 3'400'000;
  gateway.load().start_in_us_p90[2] = 12'000'000;
  EXPECT_EQ(door.retry_after_seconds(), 4);
  EXPECT_EQ(door.retry_after_seconds(2), 12);
  EXPECT_EQ(door.retry_after_seconds(99), 2) << "nothing is forecast of it: one sequence, two seconds";
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(admit(4).ok());
  EXPECT_EQ(door.retry_after_seconds(), 8) << "two wait that the engine has not seen, two seconds each";
  gateway.load().waiting = 2;
  EXPECT_EQ(door.retry_after_seconds(), 4);
}

// Those who are sent away together do not come back together, and nobody is told more than twice the time.
TEST_F(Traps, retry_storm) {
  gateway.load().running = 2;
  gateway.load().finish_interval_us = 500'000;
  gateway.load().start_in_us_p90[0] = 10'000'000;
  std::vector<int> told;
  for (int i = 0; i < 1000; ++i) told.push_back(door.next_retry_after_seconds());
  EXPECT_EQ(told[0], 10);
  EXPECT_EQ(told[10], 15);
  EXPECT_EQ(told[19], 20);
  EXPECT_EQ(*std::max_element(told.begin(), told.end()), 20);
  gateway.load().heartbeat_us = 60'000'000;
  EXPECT_EQ(door.next_retry_after_seconds(), 10) << "those have come back by now";
  gateway.load().heartbeat_us = 1;
  EXPECT_EQ(door.next_retry_after_seconds(), 11) << "a clock that goes back stands still";
  EXPECT_EQ(door.retry_after_seconds(), 10);
}

TEST_F(FrontDoorTest, WhatWouldComeTooLateIsRefusedAtTheDoor) {
  LoadGauges& load = gateway.load();
  const auto ask = [this](Timing timing, int64_t tokens = 10) {
    return door.admit({.prompt_tokens = {tokens}, .timing = timing}).status();
  };
  EXPECT_TRUE(ask({.now_us = 1'000'000, .deadline_us = 1'000'001}).ok()) << "nothing is known: nobody is refused for it";
  EXPECT_EQ(ask({.now_us = 1'000'000, .deadline_us = 999'999}).reason(), "deadline_unmeetable") << "a deadline in the past";
  load.running = 2;
  load.start_in_us_p50[1] = 2'000'000;
  load.start_in_us_p90[1] = 5'000'000;
  load.prefill_us_per_1k_tokens = 100'000'000;
  const Status late = ask({.class_index = 1, .now_us = 1'000'000, .deadline_us = 3'900'000});
  EXPECT_EQ(late.code(), Code::kUnavailable);
  EXPECT_EQ(late.reason(), "deadline_unmeetable");
  EXPECT_NE(late.message().find("3.0 s"), std::string::npos) << "two until its start, one for its prompt: " << late.message();
  EXPECT_TRUE(ask({.class_index = 1, .now_us = 1'000'000, .deadline_us = 4'100'000}).ok());
  EXPECT_TRUE(ask({.class_index = 0, .now_us = 1'000'000, .deadline_us = 2'100'000}).ok()) << "a higher class starts at once";
  EXPECT_EQ(door.admitted(), 0);
}

TEST_F(FrontDoorTest, TheSloRefusesByTheNinetiethPercentile) {
  FrontDoorOptions options = kOptions;
  options.ttft_slo_us = 4'000'000;
  options.default_class = 1;
  door.set_options(options);
  LoadGauges& load = gateway.load();
  const auto ask = [this](int class_index) {
    return door.admit({.prompt_tokens = {10}, .timing = {.class_index = class_index}}).status();
  };
  load.running = 2;
  EXPECT_TRUE(ask(0).ok());
  load.prefill_us_per_1k_tokens = 500'000'000;
  EXPECT_TRUE(ask(0).ok()) << "a prompt that is long by itself is no overload";
  load.prefill_us_per_1k_tokens = 100'000'000;
  load.start_in_us_p90[0] = 2'000'000;
  load.start_in_us_p90[1] = 3'500'000;
  EXPECT_TRUE(ask(0).ok());
  EXPECT_EQ(ask(1).reason(), "over_ttft_slo");
  EXPECT_TRUE(door.knock().ok()) << "it may be of the highest class";
  load.start_in_us_p90[0] = 4'100'000;
  EXPECT_EQ(door.knock().status().reason(), "over_ttft_slo") << "not even that would be in time";
}

TEST_F(FrontDoorTest, TheBrownOutRefusesWhatIsNotAdmittedYet) {
  ASSERT_TRUE(admit(4).ok());
  door.refuse_for_brown_out(true);
  EXPECT_EQ(door.knock().status().reason(), "brown_out");
  EXPECT_EQ(admit(4).code(), Code::kUnavailable);
  EXPECT_TRUE(door.ready()) << "busy is not unhealthy";
  EXPECT_EQ(door.admitted(), 1);
  door.refuse_for_memory(true);
  EXPECT_EQ(admit(4).reason(), "memory_pressure");
  door.refuse_for_memory(false);
  door.refuse_for_brown_out(false);
  EXPECT_TRUE(admit(4).ok());
}

TEST_F(FrontDoorTest, TheAdaptiveLimitMovesWhatWaits) {
  door.set_adaptive_limit(1);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(admit(4).ok()) << i;
  EXPECT_EQ(admit(4).reason(), "queue_full") << "one place and three that wait";
  EXPECT_EQ(admit(4, 2).reason(), "queue_full") << "two sequences could run together, but not now";
  door.set_adaptive_limit(64);
  EXPECT_TRUE(admit(4).ok()) << "never more than the limit of the operator";
  EXPECT_EQ(admit(4).reason(), "queue_full");
  door.set_adaptive_limit(0);
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
