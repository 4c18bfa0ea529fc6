#include "message/gateway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

namespace weir {
namespace {

TEST(Gateway, NewsIsCoalescedAndTheFinishComesLast) {
  Gateway gateway(2, 1, 1, 4);
  int wakes = 0;
  gateway.set_io_waker([&](int) { ++wakes; });
  Channel& channel = gateway.channel(0);
  channel.ring = &gateway.ring(0);
  ASSERT_TRUE(channel.ring->try_push({.token = 7}));
  gateway.publish_tokens(0);
  ASSERT_TRUE(channel.ring->try_push({.token = 8}));
  gateway.publish_tokens(0);
  gateway.finish(0, FinishReason::kStop);
  gateway.wake_io();
  gateway.wake_io();
  EXPECT_EQ(wakes, 1);
  Notice notice;
  ASSERT_TRUE(gateway.next_notice(0, &notice));
  EXPECT_EQ(notice.finish, FinishReason::kNone);
  ASSERT_TRUE(gateway.next_notice(0, &notice));
  EXPECT_EQ(notice.finish, FinishReason::kStop);
  EXPECT_FALSE(gateway.next_notice(0, &notice));
}

TEST(Gateway, CommandsKeepTheirOrderAndWakeTheEngine) {
  Gateway gateway(1, 1, 1, 4);
  std::thread io([&] {
    gateway.submit(0);
    gateway.cancel(0);
    gateway.release(0);
  });
  std::vector<Command> commands, all;
  commands.reserve(gateway.command_capacity());
  while (all.size() < 3) {
    gateway.wait_for_command(1'000'000);
    commands.clear();
    gateway.drain_commands(&commands);
    all.insert(all.end(), commands.begin(), commands.end());
  }
  io.join();
  EXPECT_EQ(all[0].kind, Command::Kind::kSubmit);
  EXPECT_EQ(all[1].kind, Command::Kind::kCancel);
  EXPECT_EQ(all[2].kind, Command::Kind::kRelease);
}

// A client that leaves in the step in which its sequence ends, and a next one in its slot that leaves at once.
TEST(Gateway, FourCommandsOfASlotFit) {
  Gateway gateway(1, 1, 1, 4);
  gateway.submit(0);
  std::vector<Command> commands;
  commands.reserve(gateway.command_capacity());
  gateway.drain_commands(&commands);
  gateway.cancel(0);
  gateway.release(0);
  gateway.submit(0);
  gateway.cancel(0);
  commands.clear();
  gateway.drain_commands(&commands);
  EXPECT_EQ(commands.size(), 4u);
}

// A poke between the engine's look and its sleep must not be slept through, nor one before the first look.
TEST(Gateway, WhatCameSinceTheLastLookEndsTheSleepAtOnce) {
  Gateway gateway(1, 1, 1, 4);
  std::vector<Command> commands;
  commands.reserve(gateway.command_capacity());
  const SteadyClock clock;
  const auto sleeps = [&] {
    const Micros begin = clock.now_us();
    gateway.wait_for_command(100'000'000);
    return clock.now_us() - begin > 50'000'000;
  };
  gateway.poke();
  EXPECT_FALSE(sleeps());
  gateway.drain_commands(&commands);
  gateway.submit(0);
  EXPECT_FALSE(sleeps());
  gateway.drain_commands(&commands);
  gateway.poke();
  EXPECT_FALSE(sleeps());
}

TEST(Gateway, RoomIsToldOnlyToAnEngineThatFoundNone) {
  Gateway gateway(1, 1, 1, 2);
  Channel& channel = gateway.channel(0);
  channel.ring = &gateway.ring(0);
  TokenEvent event;
  EXPECT_TRUE(gateway.has_room(0));
  EXPECT_FALSE(channel.wants_room.load());
  while (channel.ring->try_push({.token = 1})) {
  }
  EXPECT_FALSE(gateway.has_room(0));
  EXPECT_TRUE(channel.wants_room.load());
  ASSERT_TRUE(channel.ring->try_pop(&event));
  gateway.note_read(0);
  EXPECT_FALSE(channel.wants_room.load());
  EXPECT_TRUE(gateway.has_room(0));
}

// The engine waits for room without a timeout that a test would notice; the reader must never leave it asleep.
TEST(Gateway, NoRoomIsMissedAcrossThreads) {
  Gateway gateway(1, 1, 1, 2);
  Channel& channel = gateway.channel(0);
  channel.ring = &gateway.ring(0);
  constexpr int kTokens = 20000;
  const SteadyClock clock;
  Micros longest = 0;
  std::thread engine([&] {
    std::vector<Command> commands;
    commands.reserve(gateway.command_capacity());
    for (int i = 0; i < kTokens;) {
      commands.clear();
      gateway.drain_commands(&commands);
      if (gateway.has_room(0)) {
        ASSERT_TRUE(channel.ring->try_push({.token = i++}));
        continue;
      }
      const Micros begin = clock.now_us();
      gateway.wait_for_command(60'000'000);
      longest = std::max(longest, clock.now_us() - begin);
    }
  });
  for (int want = 0; want < kTokens;) {
    TokenEvent event;
    int read = 0;
    for (; channel.ring->try_pop(&event); ++read) ASSERT_EQ(event.token, want++);
    if (read > 0) gateway.note_read(0);
  }
  engine.join();
  EXPECT_LT(longest, 50'000'000) << "a sleep ended by its timeout: the word was lost";
}

TEST(Gateway, NothingComesInAfterTheLastLook) {
  Gateway gateway(2, 1, 1, 4);
  std::vector<Command> commands;
  commands.reserve(gateway.command_capacity());
  EXPECT_TRUE(gateway.submit(0));
  gateway.close_inbox(&commands);
  ASSERT_EQ(commands.size(), 1u) << "what came before is seen";
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(gateway.submit(1));
    gateway.cancel(1);
    gateway.release(0);  // more than fit an inbox that is open
  }
  commands.clear();
  gateway.close_inbox(&commands);
  EXPECT_TRUE(commands.empty());
}

// A ring of two and a slow consumer: every token arrives once, in order, although most notices are coalesced.
TEST(Gateway, NoTokenIsLostAcrossThreads) {
  Gateway gateway(1, 1, 1, 2);
  Channel& channel = gateway.channel(0);
  channel.ring = &gateway.ring(0);
  constexpr int kTokens = 50000;
  std::thread engine([&] {
    for (int i = 0; i < kTokens;) {
      if (!channel.ring->try_push({.token = i})) continue;
      gateway.publish_tokens(0);
      ++i;
    }
    gateway.finish(0, FinishReason::kLength);
  });
  int want = 0;
  for (bool done = false; !done;) {
    Notice notice;
    if (!gateway.next_notice(0, &notice)) continue;
    done = notice.finish != FinishReason::kNone;
    for (TokenEvent event; channel.ring->try_pop(&event);) ASSERT_EQ(event.token, want++);
  }
  engine.join();
  EXPECT_EQ(want, kTokens);
}

// The plan's line is all that it takes: built in exactly so many bytes, with no other memory to be had.
TEST(Gateway, ItsBytesAreWhatItTakesAndAllThatItTakes) {
  for (const int slots : {1, 7, 160}) {
    const uint64_t bytes = Gateway::bytes(slots, 5, 2, Gateway::kRingEvents);
    std::vector<char> memory(bytes + 64);
    char* begin = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    std::pmr::monotonic_buffer_resource exact(begin, bytes, std::pmr::null_memory_resource());
    std::pmr::memory_resource* usual = std::pmr::set_default_resource(std::pmr::null_memory_resource());
    {
      Gateway gateway(slots, 5, 2, Gateway::kRingEvents, &exact);
      gateway.channel(slots - 1).io_index = 1;
      gateway.submit(slots - 1);
      gateway.finish(slots - 1, FinishReason::kStop);
      Notice notice;
      EXPECT_TRUE(gateway.next_notice(1, &notice));
      EXPECT_EQ(gateway.ring(4).capacity(), 64u);
      EXPECT_GE(reinterpret_cast<char*>(&gateway.ring(4)), begin);
      EXPECT_LT(reinterpret_cast<char*>(&gateway.ring(4)), begin + bytes);
    }
    std::pmr::set_default_resource(usual);
  }
  EXPECT_GT(Gateway::bytes(160, 32, 1, 64), 32 * 64 * sizeof(TokenEvent) + 160 * sizeof(Channel));
}

}  // namespace
}  // namespace weir
