// What a step costs and how long it takes: the engine tells the scheduler both, where the executor computes on its
// thread.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "engine/engine.h"

namespace weir {
namespace {

// Its time passes without work, as a processor's does that somebody else has.
class SleepingExecutor final : public Executor {
 public:
  explicit SleepingExecutor(bool here) : here_(here) {}
  bool computes_here() const override { return here_; }
  Status run(const Step& step, std::span<StepResult> results) override {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return tokens_.run(step, results);
  }

 private:
  const bool here_;
  NullExecutor tokens_{1000};
};

int64_t drag_milli_after_steps(bool here) {
  SleepingExecutor executor(here);
  const SteadyClock clock;
  Gateway gateway(1, 1, 1, Gateway::kRingEvents);
  BlockPool pool({.blocks = 4, .block_tokens = 64, .sequences_max = 1, .blocks_per_sequence_max = 4});
  Engine engine({.slots = 1, .running_max = 1, .step_tokens_max = 64, .session_tokens = 256}, &pool, nullptr,
                &gateway, &executor, &clock);
  RequestSpec spec;
  spec.prompt.assign(4, 1);
  spec.params.max_tokens = 120;
  spec.params.ignore_eos = true;
  gateway.channel(0).spec = &spec;
  gateway.submit(0);
  for (bool ended = false; !ended;) {
    engine.turn();
    Notice notice;
    TokenEvent event;
    while (gateway.next_notice(0, &notice)) {
      while (gateway.channel(0).ring->try_pop(&event)) {
      }
      ended |= notice.finish != FinishReason::kNone;
    }
  }
  return gateway.load().step_drag_milli.load();
}

TEST(StepWork, WhatOthersTakeIsNotTheStepsCost) { EXPECT_GT(drag_milli_after_steps(true), 1'500); }
TEST(StepWork, ADeviceOfItsOwnIsMeasuredByTheWall) { EXPECT_EQ(drag_milli_after_steps(false), 1'000); }

}  // namespace
}  // namespace weir
