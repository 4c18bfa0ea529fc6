// What fails at every turn says so now and then, with how often it happened.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/engine.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

// A machine that gives no page back that it once took, and a model that fails when it is told to.
struct PoorExecutor final : Executor {
  NullExecutor inner{100};
  bool poor = false, fails = false;
  int asked = 0;

  Status run(const Step& step, std::span<StepResult> results) override {
    return fails ? internal_error("no result") : inner.run(step, results);
  }
  Status resize_kv(int64_t) override {
    ++asked;
    return poor ? Status(Code::kResourceExhausted, "no memory") : ok_status();
  }
  uint64_t block_bytes() const override { return 4096; }
};

struct Rig {
  FakeClock clock;
  PoorExecutor executor;
  Gateway gateway{4, 4, 1, Gateway::kRingEvents};
  BlockPool pool{
      {.blocks = 40, .blocks_max = 64, .block_tokens = 16, .sequences_max = 4, .blocks_per_sequence_max = 8}};
  RequestSpec spec{.id = 1, .prompt = {1, 2, 3}};
  Engine engine{{.slots = 4, .running_max = 4, .step_tokens_max = 16, .session_tokens = 128},
                &pool,
                nullptr,
                &gateway,
                &executor,
                &clock};

  void turns(int count, Micros every) {
    for (int i = 0; i < count; ++i) {
      clock.advance_us(every);
      engine.turn();
    }
  }
};

auto lines(const std::string& log) { return std::count(log.begin(), log.end(), '\n'); }

TEST(Faults, logs_without_limit) {
  Rig rig;
  Controls& controls = rig.gateway.controls();
  controls.squeeze = true;
  rig.turns(1, 1000);
  const int32_t squeezed = rig.pool.total_blocks();
  ASSERT_LT(squeezed, 40);
  rig.executor.poor = true;
  rig.executor.asked = 0;
  controls.squeeze = false;
  CaptureStderr();
  rig.turns(30'000, 1000);  // thirty seconds of steps
  const std::string log = GetCapturedStderr();
  EXPECT_EQ(lines(log), 1) << log.substr(0, 1000);
  EXPECT_THAT(log, HasSubstr("the KV pool could not grow: no memory\n"));
  EXPECT_LE(rig.executor.asked, 31) << "nor is the machine asked at every turn";
  CaptureStderr();
  rig.turns(60, 1'000'000);
  EXPECT_THAT(GetCapturedStderr(), HasSubstr("the KV pool could not grow: no memory (and "));
  const uint32_t order = controls.order_pool(50);
  rig.turns(1, 1);
  EXPECT_EQ(controls.pool_answer(order), PoolAnswer::kNoMemory) << "an operator has an answer at once";
  rig.executor.poor = false;
  rig.turns(2, 1'000'000);
  EXPECT_EQ(rig.pool.total_blocks(), 40) << "and it grows when it can";
}

TEST(LogLimit, AModelThatFailsAtEveryStep) {
  Rig rig;
  rig.executor.fails = true;
  rig.spec.params.max_tokens = 5;
  CaptureStderr();
  for (int i = 0; i < 500; ++i) {
    rig.gateway.channel(0).spec = &rig.spec;
    rig.gateway.submit(0);
    rig.turns(1, 1000);
    Notice notice;
    while (rig.gateway.next_notice(0, &notice)) {
      if (notice.finish != FinishReason::kNone) rig.gateway.release(0);
    }
    rig.turns(1, 1000);
  }
  const std::string log = GetCapturedStderr();
  EXPECT_EQ(lines(log), 1) << "a second of it";
  EXPECT_EQ(rig.gateway.load().finished_by_reason[static_cast<size_t>(FinishReason::kError)].load(), 500u);
}

}  // namespace
}  // namespace weir
