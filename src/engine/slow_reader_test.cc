// Sequences whose readers do not read: the engine sleeps until one of them reads, and does not look a thousand
// times a second.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "engine/engine.h"

namespace weir {
namespace {

struct Slow {
  SteadyClock clock;
  NullExecutor executor{100};
  Gateway gateway{2, 2, 1, 8};
  BlockPool pool{
      {.blocks = 64, .blocks_max = 64, .block_tokens = 16, .sequences_max = 2, .blocks_per_sequence_max = 32}};
  RequestSpec specs[2];
  size_t tokens[2] = {};
  FinishReason ended[2] = {FinishReason::kNone, FinishReason::kNone};
  Engine engine{{.slots = 2, .running_max = 2, .step_tokens_max = 16, .session_tokens = 512},
                &pool,
                nullptr,
                &gateway,
                &executor,
                &clock};

  void submit(SlotIndex slot, int32_t max_tokens) {
    RequestSpec& spec = specs[slot];
    spec.prompt = {1, 2, 3};
    spec.params.max_tokens = max_tokens;
    spec.params.ignore_eos = true;
    gateway.channel(slot).spec = &spec;
    gateway.submit(slot);
  }
  void read(SlotIndex slot) {
    TokenEvent event;
    size_t read = 0;
    for (EventRing* ring = gateway.channel(slot).ring; ring->try_pop(&event);) ++read;
    tokens[slot] += read;
    if (read > 0) gateway.note_read(slot);
  }
  void take_notices() {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      if (notice.finish != FinishReason::kNone) ended[notice.slot] = notice.finish;
      read(notice.slot);
    }
  }
  uint64_t stalls() const { return gateway.load().ring_stalls.load(); }
};

bool wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// A turn that finds both rings full counts two stalls. Without work the loop turns twice a second, for its
// heartbeat.
TEST(Faults, polling_for_slow_readers) {
  Slow slow;
  slow.submit(0, 400);
  slow.submit(1, 400);
  ASSERT_TRUE(slow.engine.start().ok());
  ASSERT_TRUE(wait_for([&] { return slow.stalls() >= 2 && slow.gateway.load().output_tokens.load() == 16; }));
  const uint64_t before = slow.stalls();
  const Micros begin = slow.clock.now_us();
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  const uint64_t turns = (slow.stalls() - before) / 2;
  EXPECT_LE(turns, static_cast<uint64_t>((slow.clock.now_us() - begin) / 500'000) + 2);
  EXPECT_TRUE(wait_for([&] {
    slow.take_notices();
    return slow.ended[0] != FinishReason::kNone && slow.ended[1] != FinishReason::kNone;
  }));
  EXPECT_EQ(slow.tokens[0], 400u);
  EXPECT_EQ(slow.tokens[1], 400u);
}

TEST(SlowReaders, OneThatReadsGoesOnWhileTheOtherDoesNot) {
  Slow slow;
  slow.submit(0, 300);
  slow.submit(1, 300);
  ASSERT_TRUE(slow.engine.start().ok());
  EXPECT_TRUE(wait_for([&] {
    Notice notice;
    while (slow.gateway.next_notice(0, &notice)) {
      if (notice.finish != FinishReason::kNone) slow.ended[notice.slot] = notice.finish;
      if (notice.slot == 0) slow.read(0);
    }
    return slow.ended[0] == FinishReason::kLength;
  }));
  EXPECT_EQ(slow.tokens[0], 300u);
  slow.gateway.cancel(1);
  EXPECT_TRUE(wait_for([&] {
    Notice notice;
    while (slow.gateway.next_notice(0, &notice)) slow.ended[notice.slot] = notice.finish;
    return slow.ended[1] == FinishReason::kCancelled;
  })) << "a client that is cut off frees its place";
}

// Turn by turn on the test's thread: a full ring is asked for once, and room is told once.
TEST(SlowReaders, AreToldOfOnceAndWakeOnce) {
  Slow slow;
  slow.submit(0, 400);
  for (int i = 0; i < 20; ++i) slow.engine.turn();
  EXPECT_TRUE(slow.engine.scheduler().only_waits_for_readers());
  EXPECT_TRUE(slow.gateway.channel(0).wants_room.load());
  slow.read(0);
  EXPECT_FALSE(slow.gateway.channel(0).wants_room.load());
  const Micros begin = slow.clock.now_us();
  slow.gateway.wait_for_command(60'000'000);
  EXPECT_LT(slow.clock.now_us() - begin, 30'000'000) << "what came after the last look is not slept through";
  EXPECT_TRUE(slow.engine.turn());
  EXPECT_FALSE(slow.engine.scheduler().only_waits_for_readers());
}

}  // namespace
}  // namespace weir
