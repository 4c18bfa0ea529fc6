// The watchdog over a board and gauges that the test moves, under a clock that the test owns; and once over a real engine.
#include "server/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "engine/engine.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Micros kSecond = 1'000'000;

struct Watched {
  FakeClock clock;
  Gateway gateway{4, 4, 1, 8};
  StepBoard board{100};
  std::vector<uint64_t> abandoned;
  std::vector<off_t> log_size_when_abandoned;  // while stderr is captured into a file
  RequestSpec spec{.id = 0xabc, .prompt = {1, 2, 3}};
  Step step;
  Watchdog watchdog{{.timeout_us = 10 * kSecond},
                    {.clock = &clock,
                     .load = &gateway.load(),
                     .board = &board,
                     .abandon =
                         [this](uint64_t number) {
                           abandoned.push_back(number);
                           log_size_when_abandoned.push_back(lseek(STDERR_FILENO, 0, SEEK_CUR));
                         },
                     .request_ids =
                         [] {
                           return std::map<SlotIndex, std::string>{{0, "req-zero"}};
                         }}};

  Watched() {
    for (SlotIndex slot = 0; slot < 2; ++slot) {
      gateway.channel(slot).spec = &spec;
      step.sequences.push_back({.slot = slot, .token_count = slot == 0 ? 1 : 2, .position_begin = slot == 0 ? 7 : 1,
                                .prompt = spec.prompt});
    }
  }
  void look_for(int looks, Micros every = kSecond) {
    for (int i = 0; i < looks; ++i) {
      clock.advance_us(every);
      watchdog.look();
    }
  }
  void begin(uint64_t number) { board.begin(number, clock.now_us(), step, &gateway); }
  void beat() { gateway.load().heartbeat_us = clock.now_us(); }
};

TEST(Watchdog, LooksOftenEnough) {
  EXPECT_EQ(WatchdogOptions{.timeout_us = 120 * kSecond}.period_us(), kSecond);
  EXPECT_EQ(WatchdogOptions{.timeout_us = 800'000}.period_us(), 100'000);
  EXPECT_EQ(WatchdogOptions{.timeout_us = 1}.period_us(), 10'000);
}

TEST(Watchdog, ABusyLoopAndAnIdleOneAreLeftAlone) {
  Watched w;
  for (uint64_t number = 1; number < 50; ++number) {
    w.begin(number);
    w.look_for(9);  // long, and not too long
    w.board.end();
  }
  w.look_for(1000);
  EXPECT_TRUE(w.watchdog.loop_moves());
  EXPECT_EQ(w.watchdog.stalls(), 0u);
  w.gateway.load().waiting = 1;  // it waits for memory: the loop turns now and then
  for (int i = 0; i < 50; ++i) {
    w.beat();
    w.look_for(9);
  }
  EXPECT_EQ(w.watchdog.stalls(), 0u);
  EXPECT_THAT(w.abandoned, ElementsAre());
}

TEST(Watchdog, AStepThatStandsIsAbandonedOnceAndOnlyThenIsLivenessRed) {
  Watched w;
  w.begin(7);
  w.look_for(10);
  EXPECT_THAT(w.abandoned, ElementsAre());
  w.look_for(1);
  EXPECT_THAT(w.abandoned, ElementsAre(7));
  EXPECT_TRUE(w.watchdog.loop_moves()) << "it may still listen";
  w.look_for(9);
  EXPECT_TRUE(w.watchdog.loop_moves());
  EXPECT_EQ(w.watchdog.stalls(), 1u);
  w.look_for(5);
  EXPECT_FALSE(w.watchdog.loop_moves());
  EXPECT_THAT(w.abandoned, ElementsAre(7)) << "once";
  w.board.end();
  w.look_for(1);
  EXPECT_TRUE(w.watchdog.loop_moves()) << "health tells the truth";
}

// The log's line must not be what the step waits for: by then the step is abandoned.
TEST(Watchdog, ActsFirstAndLogsAfterwards) {
  Watched w;
  w.begin(7);
  testing::internal::CaptureStderr();
  w.look_for(11);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("the step is abandoned"));
  ASSERT_EQ(w.log_size_when_abandoned.size(), 1u);
  EXPECT_EQ(w.log_size_when_abandoned[0], 0);
}

TEST(Watchdog, EveryStepOfASearchHasATimeOfItsOwn) {
  Watched w;
  for (uint64_t number = 1; number <= 4; ++number) {
    w.begin(number);
    w.look_for(15);
    w.board.end();
  }
  EXPECT_THAT(w.abandoned, ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(w.watchdog.loop_moves());
  EXPECT_EQ(w.watchdog.stalls(), 4u);
}

TEST(Watchdog, ALoopThatStandsBetweenTwoStepsTurnsRedToo) {
  Watched w;
  w.gateway.load().waiting = 1;
  w.beat();
  w.look_for(12);
  EXPECT_EQ(w.watchdog.stalls(), 1u);
  EXPECT_TRUE(w.watchdog.loop_moves());
  w.look_for(12);
  EXPECT_FALSE(w.watchdog.loop_moves());
  EXPECT_THAT(w.abandoned, ElementsAre()) << "there is no step";
  w.beat();
  w.look_for(1);
  EXPECT_TRUE(w.watchdog.loop_moves());
}

// SIGSTOP, a machine that slept, a clock that jumped: time that the watchdog was not awake for accuses nobody.
TEST(Watchdog, TimeThatPassedWhileItWasAsleepDoesNotCount) {
  Watched w;
  w.begin(7);
  w.look_for(2);
  w.look_for(1, 3600 * kSecond);
  EXPECT_THAT(w.abandoned, ElementsAre());
  w.look_for(5);
  EXPECT_THAT(w.abandoned, ElementsAre());
  w.look_for(1, -3600 * kSecond);
  EXPECT_TRUE(w.watchdog.loop_moves());
  w.look_for(9);
  EXPECT_THAT(w.abandoned, ElementsAre(7)) << "it does stand";
}

TEST(Watchdog, TheDumpNamesStepRequestsQueueAndPool) {
  Watched w;
  LoadGauges& load = w.gateway.load();
  load.waiting = 5;
  load.waiting_tokens = 900;
  load.running = 2;
  load.blocks_live = 30;
  load.blocks_free = 1;
  load.blocks_total = 32;
  w.begin(42);
  const std::string text = stall_text(*w.board.read(), load, {{0, "req-zero"}});
  for (const char* part : {"step 42 computes 2 sequences", "slot 0, request req-zero: decode of position 7",
                           "slot 1, request with the answer id 0000000000000abc: prefill of 2 tokens from position 1 of 3",
                           "2 sequences hold places, 5 wait with 900 prompt tokens", "of 32 KV blocks 30 are live, 1 free"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_EQ(text.find('\n'), std::string::npos);
  StepView many{.number = 1, .begun_us = 1, .parts = std::vector<StepPart>(100)};
  EXPECT_THAT(stall_text(many, load, {}), HasSubstr("and 36 more"));
}

// Hangs until the test lets it go; whether it listens is the test's choice.
struct HangingExecutor final : Executor {
  std::atomic<bool> listens{true}, go{false};
  Status run(const Step& step, std::span<StepResult> results) override {
    for (const StepSequence& part : step.sequences) {
      while (part.prompt[0] == 13 && !go) {
        if (listens && must_stop()) return abandoned();
        std::this_thread::yield();
      }
    }
    return NullExecutor(100).run(step, results);
  }
};

struct Served {
  FakeClock clock;
  HangingExecutor executor;
  Gateway gateway{4, 4, 1, Gateway::kRingEvents};
  BlockPool pool{{.blocks = 16, .blocks_max = 16, .block_tokens = 16, .sequences_max = 4, .blocks_per_sequence_max = 4}};
  Engine engine{{.slots = 4, .running_max = 4, .step_tokens_max = 16, .session_tokens = 64}, &pool, nullptr, &gateway, &executor, &clock};
  Watchdog watchdog{{.timeout_us = 10 * kSecond},
                    {.clock = &clock,
                     .load = &gateway.load(),
                     .board = &engine.steps().board(),
                     .abandon = [this](uint64_t number) { engine.abandon_step(number); },
                     .request_ids = {}}};
  std::map<SlotIndex, RequestSpec> specs;
  std::map<SlotIndex, FinishReason> ended;

  void submit(SlotIndex slot, int32_t token) {
    specs[slot].prompt = {token, 2, 3};
    specs[slot].params.max_tokens = 5;
    specs[slot].params.ignore_eos = true;
    gateway.channel(slot).spec = &specs[slot];
    gateway.submit(slot);
  }
  // Looks while the fake time passes, until the condition holds; false after a minute of real time.
  bool look_until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      clock.advance_us(kSecond);
      watchdog.look();
      Notice notice;
      while (gateway.next_notice(0, &notice)) {
        if (notice.finish != FinishReason::kNone) ended[notice.slot] = notice.finish;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
  }
};

TEST(Watchdog, EndsTheCulpritAlone) {
  Served s;
  s.submit(0, 1);
  s.submit(1, 13);
  s.submit(2, 1);
  ASSERT_TRUE(s.engine.start().ok());
  EXPECT_TRUE(s.look_until([&] { return s.ended.size() == 3; }));
  EXPECT_EQ(s.ended[0], FinishReason::kLength);
  EXPECT_EQ(s.ended[1], FinishReason::kStuck);
  EXPECT_EQ(s.ended[2], FinishReason::kLength);
  EXPECT_GE(s.watchdog.stalls(), 2u);
  s.engine.stop();
}

TEST(Traps, stuck_loop_is_unhealthy) {
  Served s;
  s.executor.listens = false;
  s.submit(0, 13);
  ASSERT_TRUE(s.engine.start().ok());
  EXPECT_TRUE(s.look_until([&] { return !s.watchdog.loop_moves(); }));
  EXPECT_EQ(s.engine.steps().abandoned_steps(), 0u);
  s.executor.go = true;
  EXPECT_TRUE(s.look_until([&] { return s.watchdog.loop_moves() && s.ended.size() == 1; }));
  EXPECT_EQ(s.ended[0], FinishReason::kLength) << "it was only slow, and nothing of it is lost";
  s.engine.stop();
}

TEST(Watchdog, ItsThreadStops) {
  Watched w;
  ASSERT_TRUE(w.watchdog.start().ok());
  w.watchdog.stop();
  w.watchdog.stop();
}

}  // namespace
}  // namespace weir
