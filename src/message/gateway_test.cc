#include "message/gateway.h"

#include <gtest/gtest.h>

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
