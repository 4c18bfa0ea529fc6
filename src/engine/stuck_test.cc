// Steps that do not come to an end: who is to blame ends alone, everybody else notices nothing. The executors here hang
// until they are told to stop, and tell the engine so themselves, as the watchdog would: no clock decides anything.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "engine/engine.h"
#include "engine/model_executor.h"

namespace weir {
namespace {

constexpr int32_t kHangs = 13;  // a prompt that begins with it

bool is_hanging(const StepSequence& part) { return part.prompt[0] == kHangs; }

// Hangs on steps with a certain request, and tells who looks after the engine.
struct HangingExecutor final : Executor {
  NullExecutor inner{100};
  std::function<bool(const StepSequence&)> hangs_on = is_hanging;
  std::function<void()> on_hang = [] {};
  std::vector<BlockCopy> copies;
  int hangs = 0;
  size_t hung_sequences = 0;  // of the last step that hung

  Status run(const Step& step, std::span<StepResult> results) override {
    EXPECT_TRUE(step.copies.empty()) << "they were made before";
    if (std::any_of(step.sequences.begin(), step.sequences.end(), hangs_on)) {
      ++hangs;
      hung_sequences = step.sequences.size();
      on_hang();
      while (!must_stop()) std::this_thread::yield();
      return abandoned();
    }
    return inner.run(step, results);
  }
  void copy_blocks(std::span<const BlockCopy> some) override { copies.insert(copies.end(), some.begin(), some.end()); }
};

struct Rig {
  SteadyClock clock;
  SchedulerOptions options{.slots = 8, .running_max = 4, .step_tokens_max = 16, .session_tokens = 64};
  Gateway gateway{options.slots, options.running_max, 1, Gateway::kRingEvents};
  BlockPool pool{{.blocks = 32, .blocks_max = 32, .block_tokens = 16, .sequences_max = 4, .blocks_per_sequence_max = 4}};
  std::map<SlotIndex, RequestSpec> specs;
  std::map<SlotIndex, std::vector<int32_t>> outputs;
  std::map<SlotIndex, FinishReason> ended;
  Engine engine;

  explicit Rig(Executor* executor) : engine(options, &pool, nullptr, &gateway, executor, &clock) {}

  void submit(SlotIndex slot, std::vector<int32_t> prompt, int32_t tokens) {
    RequestSpec& spec = specs[slot];
    spec.id = 1000 + static_cast<uint64_t>(slot);
    spec.prompt = std::move(prompt);
    spec.params.max_tokens = tokens;
    spec.params.ignore_eos = true;
    spec.params.temperature = slot % 2 == 0 ? 0.0f : 0.9f;
    spec.params.seed = static_cast<uint64_t>(slot);
    gateway.channel(slot).spec = &spec;
    gateway.submit(slot);
  }
  void collect() {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      TokenEvent event;
      Channel& channel = gateway.channel(notice.slot);
      while (channel.ring != nullptr && channel.ring->try_pop(&event)) outputs[notice.slot].push_back(event.token);
      if (notice.finish == FinishReason::kNone) continue;
      EXPECT_EQ(ended.count(notice.slot), 0u) << "ended twice";
      ended[notice.slot] = notice.finish;
    }
  }
  void run_until_ended(size_t count) {
    for (int i = 0; i < 10'000 && ended.size() < count; ++i) {
      engine.turn();
      engine.scheduler().check_invariants();
      collect();
    }
    ASSERT_EQ(ended.size(), count);
  }
  void abandon_now() { engine.abandon_step(engine.steps().board().number()); }
};

std::map<SlotIndex, std::vector<int32_t>> quiet_answers() {
  NullExecutor executor(100);
  Rig rig(&executor);
  for (const SlotIndex slot : {0, 2, 3}) rig.submit(slot, {slot + 1, 2, 3}, 9);
  rig.run_until_ended(3);
  return rig.outputs;
}

TEST(Traps, one_bad_request_kills_the_batch) {
  HangingExecutor executor;
  Rig rig(&executor);
  executor.on_hang = [&rig] { rig.abandon_now(); };
  for (const SlotIndex slot : {0, 2, 3}) rig.submit(slot, {slot + 1, 2, 3}, 9);
  rig.submit(1, {kHangs, 2, 3}, 9);
  rig.run_until_ended(4);
  EXPECT_EQ(rig.ended[1], FinishReason::kStuck);
  EXPECT_EQ(rig.outputs.count(1), 0u);
  rig.outputs.erase(1);
  EXPECT_EQ(rig.outputs, quiet_answers());
  for (const SlotIndex slot : {0, 2, 3}) EXPECT_EQ(rig.ended[slot], FinishReason::kLength);
  EXPECT_EQ(executor.hangs, 2) << "with the others, and alone";
  EXPECT_EQ(rig.engine.steps().abandoned_steps(), 2u);
  EXPECT_EQ(rig.engine.steps().culprits(), 1u);
  EXPECT_EQ(rig.pool.free_blocks(), rig.pool.total_blocks());
  EXPECT_EQ(rig.engine.steps().board().begun_us(), 0);
}

// The same in the middle of an answer, with two culprits at once.
TEST(StuckStep, TwoThatHangWhileTheyDecodeAreBothFound) {
  HangingExecutor executor;
  Rig rig(&executor);
  executor.hangs_on = [](const StepSequence& part) { return is_hanging(part) && part.output.size() == 4; };
  executor.on_hang = [&rig] { rig.abandon_now(); };
  for (const SlotIndex slot : {0, 3}) rig.submit(slot, {slot + 1, 2, 3}, 9);
  for (const SlotIndex slot : {1, 2}) rig.submit(slot, {kHangs, 2, 3}, 9);
  rig.run_until_ended(4);
  for (const SlotIndex slot : {1, 2}) {
    EXPECT_EQ(rig.ended[slot], FinishReason::kStuck);
    EXPECT_EQ(rig.outputs[slot].size(), 4u) << "what was computed before is delivered";
  }
  EXPECT_EQ(rig.outputs[0], quiet_answers()[0]);
  EXPECT_EQ(rig.outputs[3], quiet_answers()[3]);
  EXPECT_EQ(rig.engine.steps().culprits(), 2u);
}

TEST(StuckStep, WhatWasOnlySlowOnceHurtsNobody) {
  HangingExecutor executor;
  Rig rig(&executor);
  executor.hangs_on = [&executor](const StepSequence&) { return executor.hangs == 0; };
  executor.on_hang = [&rig] { rig.abandon_now(); };
  for (const SlotIndex slot : {0, 2, 3}) rig.submit(slot, {slot + 1, 2, 3}, 9);
  rig.run_until_ended(3);
  EXPECT_EQ(rig.outputs, quiet_answers());
  EXPECT_EQ(rig.engine.steps().abandoned_steps(), 1u);
  EXPECT_EQ(rig.engine.steps().culprits(), 0u);
}

TEST(StuckStep, ALateWordTouchesNoLaterStep) {
  NullExecutor executor(100, 1);
  Rig rig(&executor);
  for (const SlotIndex slot : {0, 2, 3}) rig.submit(slot, {slot + 1, 2, 3}, 9);
  for (int i = 0; i < 10'000 && rig.ended.size() < 3; ++i) {
    rig.engine.turn();
    rig.abandon_now();  // the step that has just ended
    rig.collect();
  }
  EXPECT_EQ(rig.outputs, quiet_answers());
  EXPECT_EQ(rig.engine.steps().abandoned_steps(), 0u);
}

TEST(StuckStep, TheBoardTellsWhoIsComputed) {
  HangingExecutor executor;
  Rig rig(&executor);
  std::vector<StepView> seen;
  executor.on_hang = [&] {
    const auto view = rig.engine.steps().board().read();
    ASSERT_TRUE(view.has_value());
    seen.push_back(*view);
    EXPECT_EQ(rig.engine.steps().board().begun_us(), view->begun_us);
    EXPECT_EQ(executor.hung_sequences, view->parts.size());
    rig.abandon_now();
  };
  rig.submit(0, {1, 2, 3}, 9);
  rig.engine.turn();
  rig.submit(1, {kHangs, 2, 3}, 9);
  EXPECT_FALSE(rig.engine.steps().board().read().has_value()) << "nothing runs";
  rig.run_until_ended(2);
  ASSERT_EQ(seen.size(), 2u);
  ASSERT_EQ(seen[0].parts.size(), 2u);
  EXPECT_EQ(seen[0].parts[0].request, 1000u);
  EXPECT_TRUE(seen[0].parts[0].decodes());
  EXPECT_EQ(seen[0].parts[0].tokens, 1);
  EXPECT_EQ(seen[0].parts[0].position, 3);
  EXPECT_EQ(seen[0].parts[1].slot, 1);
  EXPECT_FALSE(seen[0].parts[1].decodes());
  EXPECT_EQ(seen[0].parts[1].tokens, 3);
  ASSERT_EQ(seen[1].parts.size(), 1u) << "alone";
  EXPECT_EQ(seen[1].parts[0].request, 1001u);
  EXPECT_GT(seen[1].number, seen[0].number);
}

TEST(StuckStep, AStopDoesNotWaitForAStepThatHangs) {
  HangingExecutor executor;
  Rig rig(&executor);
  std::atomic<bool> hangs{false};
  executor.on_hang = [&hangs] { hangs = true; };
  ASSERT_TRUE(rig.engine.start().ok());
  rig.submit(0, {kHangs}, 9);
  rig.submit(1, {1}, 9);
  while (!hangs) std::this_thread::yield();
  rig.engine.stop();
  rig.collect();
  EXPECT_EQ(rig.ended[0], FinishReason::kShutdown);
  ASSERT_EQ(rig.ended.size(), 2u);
  EXPECT_EQ(rig.pool.free_blocks(), rig.pool.total_blocks());
}

// A real (tiny) model whose steps are abandoned before their first layer, or after their last one, when all their KV is
// written and every token is sampled.
struct InterruptedExecutor final : Executor {
  ModelExecutor* inner = nullptr;
  Engine* engine = nullptr;
  int runs = 0;

  void set_stop_word(const StopWord* stop) override {
    Executor::set_stop_word(stop);
    inner->set_stop_word(stop);
  }
  void bind_thread() override { inner->bind_thread(); }
  void copy_blocks(std::span<const BlockCopy> copies) override { inner->copy_blocks(copies); }
  Status run(const Step& step, std::span<StepResult> results) override {
    const bool whole = step.sequences.size() > 1;
    const int way = whole ? ++runs % 3 : 0;
    if (way == 1) engine->abandon_step(engine->steps().board().number());
    Status status = inner->run(step, results);
    EXPECT_EQ(status.code(), way == 1 ? Code::kCancelled : Code::kOk);
    if (way != 2) return status;
    engine->abandon_step(engine->steps().board().number());
    return abandoned();
  }
};

struct ModelRig {
  std::unique_ptr<Backend> backend = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  std::unique_ptr<Transformer> model;
  Region kv;
  std::unique_ptr<ModelExecutor> executor;
  InterruptedExecutor interrupted;
  std::unique_ptr<Rig> rig;

  explicit ModelRig(bool interrupt) {
    const std::string dir = "tests/golden/models/qwen2";
    const ModelSpec spec = load_spec(dir).value();
    const ModelOptions options{.format = WeightFormat::kBF16, .kv_format = KvFormat::kBF16, .session_tokens = 64,
                               .block_tokens = 16, .step_tokens_max = 16, .sequences_max = 4};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model = std::move(Transformer::load(spec, options, *checkpoint, *backend, nullptr)).value();
    kv = std::move(backend->device().reserve(32 * Transformer::needs(spec, options, backend->ops()).kv_block)).value();
    model->attach_kv(kv.span(), 32);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});
    interrupted.inner = executor.get();
    rig = std::make_unique<Rig>(interrupt ? static_cast<Executor*>(&interrupted) : executor.get());
    interrupted.engine = &rig->engine;
  }
};

TEST(Promise, TheSameAnswerAfterStepsThatWereAbandoned) {
  std::map<SlotIndex, std::vector<int32_t>> answers[2];
  for (const bool interrupt : {false, true}) {
    ModelRig model(interrupt);
    for (SlotIndex slot = 0; slot < 6; ++slot) {
      std::vector<int32_t> prompt;
      for (int i = 0; i < 8 + slot * 5; ++i) prompt.push_back((i * 31 + slot * 17) % 200);
      model.rig->submit(slot, std::move(prompt), 12);
    }
    for (int i = 0; i < 1000 && model.rig->ended.size() < 6; ++i) {
      model.rig->engine.turn();
      model.rig->collect();
      for (SlotIndex slot = 0; slot < 6; ++slot) {
        if (model.rig->ended.count(slot) == 0 || model.rig->specs.count(slot) == 0) continue;
        model.rig->specs.erase(slot);
        model.rig->gateway.release(slot);
      }
    }
    ASSERT_EQ(model.rig->ended.size(), 6u);
    EXPECT_EQ(model.rig->engine.steps().culprits(), 0u);
    EXPECT_EQ(model.rig->engine.steps().abandoned_steps() > 4, interrupt);
    answers[interrupt] = model.rig->outputs;
  }
  EXPECT_EQ(answers[0], answers[1]);
}

}  // namespace
}  // namespace weir
