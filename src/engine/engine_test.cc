// The step loop over a real Gateway: with a stub executor for its own behaviour, with a real (tiny) model for the
// promise that an answer does not depend on the load.
#include "engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <new>
#include <set>

#include "base/alloc_guard.h"
#include "base/counting_resource.h"
#include "engine/model_executor.h"

namespace weir {
namespace {

struct Rig {
  SteadyClock clock;
  SchedulerOptions options;
  Gateway gateway;
  std::unique_ptr<PrefixCache> prefix;
  BlockPool pool;
  std::map<SlotIndex, RequestSpec> specs;
  std::map<SlotIndex, std::vector<int32_t>> outputs;
  std::map<SlotIndex, std::vector<float>> logprobs;
  std::map<SlotIndex, FinishReason> ended;
  std::set<SlotIndex> released;
  Engine engine;  // last: its thread ends before what it reads

  Rig(Executor* executor, SchedulerOptions o, int32_t blocks, int32_t block_tokens = 16, bool share = false,
      int32_t blocks_max = 0)
      : options(o),
        gateway(o.slots, o.places(), 1, Gateway::kRingEvents),
        prefix(share ? std::make_unique<PrefixCache>(PrefixCacheOptions{.blocks_max = std::max(blocks, blocks_max),
                                                                        .block_tokens = block_tokens})
                     : nullptr),
        pool({.blocks = blocks, .blocks_max = std::max(blocks, blocks_max), .block_tokens = block_tokens,
              .sequences_max = o.places(),
              .blocks_per_sequence_max =
                  std::min(blocks, static_cast<int32_t>((o.session_tokens + block_tokens - 1) / block_tokens))},
             prefix.get()),
        engine(o, &pool, prefix.get(), &gateway, executor, &clock) {}

  void submit(SlotIndex slot, std::vector<int32_t> prompt, SamplingParams params, int class_index = 0) {
    specs[slot] = {.id = static_cast<uint64_t>(slot), .prompt = std::move(prompt), .params = std::move(params)};
    specs[slot].class_index = class_index;
    submit_choice(slot, slot, 0);
  }
  // A further choice of the request in `owner`.
  void submit_choice(SlotIndex slot, SlotIndex owner, int32_t choice) {
    gateway.channel(slot).spec = &specs[owner];
    gateway.channel(slot).choice_index = choice;
    gateway.submit(slot);
  }
  void collect() {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      TokenEvent event;
      while (gateway.channel(notice.slot).ring && gateway.channel(notice.slot).ring->try_pop(&event)) {
        outputs[notice.slot].push_back(event.token);
        logprobs[notice.slot].push_back(event.logprob);
      }
      if (notice.finish != FinishReason::kNone) ended[notice.slot] = notice.finish;
    }
  }
  void run_until_ended(size_t count) {
    for (int i = 0; i < 200000 && ended.size() < count; ++i) {
      engine.turn();
      collect();
      for (const auto& [slot, reason] : ended) {
        if (released.insert(slot).second) gateway.release(slot);
      }
    }
    ASSERT_EQ(ended.size(), count);
  }
};

SamplingParams tokens(int32_t count, float temperature = 0, uint64_t seed = 0) {
  SamplingParams params;
  params.max_tokens = count;
  params.temperature = temperature;
  params.seed = seed;
  params.ignore_eos = true;
  return params;
}

TEST(Engine, ThreadRunsRequestsAndSleepsWhenIdle) {
  NullExecutor executor(100);
  Rig rig(&executor, {.slots = 4, .running_max = 2, .step_tokens_max = 16, .session_tokens = 64}, 16);
  ASSERT_TRUE(rig.engine.start().ok());
  for (SlotIndex slot = 0; slot < 2; ++slot) rig.submit(slot, {1, 2, 3}, tokens(5));
  for (int i = 0; i < 2000 && rig.ended.size() < 2; ++i) {
    rig.collect();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(rig.outputs[0].size(), 5u);
  EXPECT_EQ(rig.ended[1], FinishReason::kLength);
  const uint64_t steps = rig.gateway.load().steps;
  timespec before{}, after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  EXPECT_EQ(rig.gateway.load().steps, steps);
  EXPECT_LT((after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6, 30.0) << "ms of CPU, idle";
  EXPECT_TRUE(rig.engine.alive(2'000'000));
}

TEST(Engine, StopEndsEverythingOnce) {
  NullExecutor executor(100, 1000);
  Rig rig(&executor, {.slots = 8, .running_max = 2, .step_tokens_max = 16, .session_tokens = 4096}, 512);
  ASSERT_TRUE(rig.engine.start().ok());
  for (SlotIndex slot = 0; slot < 8; ++slot) rig.submit(slot, {1, 2, 3}, tokens(4000));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  rig.engine.stop();
  rig.collect();
  ASSERT_EQ(rig.ended.size(), 8u);
  for (const auto& [slot, reason] : rig.ended) EXPECT_EQ(reason, FinishReason::kShutdown);
  EXPECT_EQ(rig.pool.free_blocks(), rig.pool.total_blocks());
}

// An executor that hangs until told to go on.
struct StuckExecutor final : Executor {
  std::atomic<bool> go{false};
  Status run(const Step& step, std::span<StepResult> results) override {
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return NullExecutor(10).run(step, results);
  }
};

TEST(Traps, stuck_loop_is_unhealthy) {
  StuckExecutor executor;
  Rig rig(&executor, {.slots = 1, .running_max = 1, .step_tokens_max = 16, .session_tokens = 64}, 8);
  ASSERT_TRUE(rig.engine.start().ok());
  rig.submit(0, {1}, tokens(2));
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  EXPECT_FALSE(rig.engine.alive(100'000));
  EXPECT_TRUE(rig.engine.alive(60'000'000)) << "a long step is not a stuck loop";
  executor.go = true;
  for (int i = 0; i < 1000 && !rig.engine.alive(100'000); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(rig.engine.alive(100'000));
}

struct FailingExecutor final : Executor {
  int failures = 1;
  Status run(const Step& step, std::span<StepResult> results) override {
    if (failures-- > 0) return internal_error("the device fell off");
    return NullExecutor(10).run(step, results);
  }
};

TEST(Engine, AFailedStepEndsItsSequencesAndTheNextOneRuns) {
  FailingExecutor executor;
  Rig rig(&executor, {.slots = 2, .running_max = 1, .step_tokens_max = 16, .session_tokens = 64}, 8);
  rig.submit(0, {1}, tokens(2));
  rig.submit(1, {1}, tokens(2));
  rig.run_until_ended(2);
  EXPECT_EQ(rig.ended[0], FinishReason::kError);
  EXPECT_EQ(rig.ended[1], FinishReason::kLength);
}

TEST(Engine, AStepDoesNotAllocate) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  NullExecutor executor(100);
  Rig rig(&executor, {.slots = 300, .running_max = 256, .step_tokens_max = 512, .session_tokens = 512}, 256 * 32);
  for (SlotIndex slot = 0; slot < 300; ++slot) rig.submit(slot, std::vector<int32_t>(20, 1), tokens(200));
  for (int i = 0; i < 30; ++i) {
    rig.engine.turn();
    rig.collect();
  }
  const uint64_t before = sealed_allocations("turn");
  for (int i = 0; i < 60; ++i) {
    seal_this_thread("turn");
    rig.engine.turn();
    unseal_this_thread();
    rig.collect();
  }
  EXPECT_EQ(sealed_allocations("turn"), before);
  EXPECT_EQ(rig.gateway.load().running, 256);
}

// A tiny real model (random weights, tests/golden) behind the engine.
struct ModelRig {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Transformer> model;
  Region kv;
  std::unique_ptr<ModelExecutor> executor;
  std::unique_ptr<Rig> rig;

  // parked > 0: two classes, of which the first may park the second.
  explicit ModelRig(int32_t blocks, int step_tokens, int running = 6, bool share = false, int32_t blocks_max = 0, int parked = 0,
                    int threads = 1) {
    const std::string dir = "tests/golden/models/qwen2";
    backend = std::move(make_backend("cpu", {.threads = threads, .isa = "", .pin = false})).value();
    const ModelSpec spec = load_spec(dir).value();
    const ModelOptions options{.format = WeightFormat::kInt8G32, .kv_format = KvFormat::kBF16, .session_tokens = 128,
                               .block_tokens = 16, .step_tokens_max = step_tokens, .sequences_max = running};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model = std::move(Transformer::load(spec, options, *checkpoint, *backend, nullptr)).value();
    const uint64_t block = Transformer::needs(spec, options, backend->ops()).kv_block;
    kv = std::move(backend->device().reserve(static_cast<uint64_t>(blocks) * block,
                                             static_cast<uint64_t>(std::max(blocks, blocks_max)) * block)).value();
    model->attach_kv(kv.span(), blocks);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});
    SchedulerOptions o{.slots = 12, .running_max = running, .step_tokens_max = step_tokens, .session_tokens = 128};
    if (parked > 0) o.classes = {ClassKind::kUrgent, ClassKind::kBackground};
    o.parked_max = parked;
    rig = std::make_unique<Rig>(executor.get(), o, blocks, 16, share, blocks_max);
  }
};

std::vector<int32_t> prompt_of(int slot) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < 10 + slot * 7; ++i) prompt.push_back((i * 31 + slot * 17) % 200);
  return prompt;
}

// Promise 8: alone with a large pool, against a crowd in a pool so small that sequences are preempted and computed
// again, in chunks of another size, and sampled by three workers. Greedy for the even ones, with a seed for the odd ones.
TEST(Promise, TheSameAnswerAtAnyLoad) {
  std::map<SlotIndex, std::vector<int32_t>> alone;
  const auto params = [](int slot) { return tokens(30, slot % 2 ? 0.9f : 0.0f, 40 + static_cast<uint64_t>(slot)); };
  for (SlotIndex slot = 0; slot < 10; ++slot) {
    ModelRig quiet(64, 128);
    quiet.rig->submit(slot, prompt_of(slot), params(slot));
    quiet.rig->run_until_ended(1);
    alone[slot] = quiet.rig->outputs[slot];
    ASSERT_EQ(alone[slot].size(), 30u);
  }
  ModelRig crowd(30, 24, 6, false, 0, 0, 3);
  for (SlotIndex slot = 0; slot < 10; ++slot) crowd.rig->submit(slot, prompt_of(slot), params(slot));
  for (int i = 0; i < 12; ++i) crowd.rig->engine.turn(), crowd.rig->collect();
  crowd.rig->gateway.controls().order_pool(9);  // smaller than what all of them have by now
  crowd.rig->run_until_ended(10);
  EXPECT_GT(crowd.rig->gateway.load().preemptions, 0u) << "the test wants preemptions";
  for (SlotIndex slot = 0; slot < 10; ++slot) EXPECT_EQ(crowd.rig->outputs[slot], alone[slot]) << "slot " << slot;
}

// The same with everything that shares, copies, moves and resizes at work: a pool that changes its size between steps,
// prefixes of earlier requests, several choices of one.
TEST(Promise, TheSameAnswerWithPrefixesAndAPoolThatChangesItsSize) {
  const auto params = [](int slot) { return tokens(30, slot % 2 ? 0.9f : 0.0f, 40 + static_cast<uint64_t>(slot)); };
  std::map<SlotIndex, std::vector<int32_t>> alone;
  for (SlotIndex slot = 0; slot < 10; ++slot) {
    ModelRig quiet(64, 128);
    quiet.rig->submit(slot, prompt_of(slot % 5), params(slot));
    quiet.rig->run_until_ended(1);
    alone[slot] = quiet.rig->outputs[slot];
  }
  ModelRig crowd(14, 24, 6, true, 64);
  for (int round = 0; round < 2; ++round) {
    Rig& rig = *crowd.rig;
    for (SlotIndex slot = 0; slot < 10; ++slot) rig.submit(slot, prompt_of(slot % 5), params(slot));
    const uint32_t sizes[] = {20, 9, 64, 12, 30};
    for (int turn = 0; turn < 20000 && rig.ended.size() < 10; ++turn) {
      if (turn % 7 == 0) rig.gateway.controls().order_pool(sizes[turn / 7 % 5]);
      rig.engine.turn();
      rig.collect();
      for (const auto& [slot, reason] : rig.ended) {
        if (rig.released.insert(slot).second) rig.gateway.release(slot);
      }
    }
    ASSERT_EQ(rig.ended.size(), 10u);
    for (SlotIndex slot = 0; slot < 10; ++slot) EXPECT_EQ(rig.outputs[slot], alone[slot]) << "slot " << slot << " round " << round;
    rig.engine.turn();
    rig.ended.clear();
    rig.released.clear();
    rig.outputs.clear();
  }
  EXPECT_GT(crowd.rig->gateway.load().prefix_hit_tokens, 200u);
  EXPECT_GT(crowd.rig->gateway.load().preemptions, 0u);
  EXPECT_GT(crowd.rig->gateway.load().pool_resizes, 4u);
}

// Urgent work comes and goes and takes the places of background work, which has to go on where it was.
TEST(Promise, TheSameAnswerForWhatWasParked) {
  const auto params = [](int slot) { return tokens(30, slot % 2 ? 0.9f : 0.0f, 40 + static_cast<uint64_t>(slot)); };
  std::map<SlotIndex, std::vector<int32_t>> alone;
  for (SlotIndex slot = 0; slot < 6; ++slot) {
    ModelRig quiet(64, 128);
    quiet.rig->submit(slot, prompt_of(slot), params(slot));
    quiet.rig->run_until_ended(1);
    alone[slot] = quiet.rig->outputs[slot];
  }
  ModelRig crowd(64, 24, 2, true, 0, 2);
  Rig& rig = *crowd.rig;
  for (SlotIndex slot = 0; slot < 3; ++slot) rig.submit(slot, prompt_of(slot), params(slot), 1);
  for (SlotIndex slot = 3; slot < 6; ++slot) {
    for (int i = 0; i < 9; ++i) rig.engine.turn(), rig.collect();
    rig.submit(slot, prompt_of(slot), params(slot), 0);
  }
  rig.run_until_ended(6);
  EXPECT_GT(rig.gateway.load().place_preemptions, 1u);
  for (SlotIndex slot = 0; slot < 6; ++slot) EXPECT_EQ(rig.outputs[slot], alone[slot]) << "slot " << slot;
}

TEST(Promise, ChoicesOfOneRequestAreWhatTheyWouldBeAlone) {
  std::vector<std::vector<int32_t>> alone;
  for (int32_t choice = 0; choice < 4; ++choice) {
    ModelRig quiet(64, 128);
    quiet.rig->submit(0, prompt_of(4), tokens(20, 1.0f, 5));
    quiet.rig->gateway.channel(0).choice_index = choice;
    quiet.rig->run_until_ended(1);
    alone.push_back(quiet.rig->outputs[0]);
  }
  ModelRig together(64, 24, 6, true);
  together.rig->submit(0, prompt_of(4), tokens(20, 1.0f, 5));
  for (SlotIndex slot = 1; slot < 4; ++slot) together.rig->submit_choice(slot, 0, slot);
  together.rig->run_until_ended(4);
  for (SlotIndex slot = 0; slot < 4; ++slot) EXPECT_EQ(together.rig->outputs[slot], alone[static_cast<size_t>(slot)]) << slot;
  EXPECT_GT(together.rig->gateway.load().block_copies, 0u);
}

TEST(Engine, TakesWhatThePlanSays) {
  const SchedulerOptions options{.slots = 40, .running_max = 7, .step_tokens_max = 100, .session_tokens = 300};
  const BlockPoolOptions blocks{.blocks = 30, .blocks_max = 90, .block_tokens = 16, .sequences_max = 7, .blocks_per_sequence_max = 19};
  NullExecutor executor(100);
  SteadyClock clock;
  Gateway gateway(options.slots, options.running_max, 1, Gateway::kRingEvents);
  BlockPool pool(blocks);
  CountingResource counting;
  Engine engine(options, &pool, nullptr, &gateway, &executor, &clock, &counting);
  EXPECT_EQ(counting.bytes(), Engine::bytes(options, blocks));
}

// A machine that stays short: sequences that were preempted must not wait for it to recover.
TEST(LivePool, SqueezedForGoodEverybodyStillFinishes) {
  NullExecutor executor(100);
  Rig rig(&executor, {.slots = 8, .running_max = 4, .step_tokens_max = 64, .session_tokens = 256}, 64, 16, true, 64);
  for (SlotIndex slot = 0; slot < 8; ++slot) rig.submit(slot, {slot + 1, 2, 3}, tokens(200));
  rig.engine.turn();
  rig.gateway.controls().squeeze = true;
  rig.engine.turn();
  EXPECT_EQ(rig.pool.total_blocks(), 16);
  rig.run_until_ended(8);
  for (SlotIndex slot = 0; slot < 8; ++slot) EXPECT_EQ(rig.outputs[slot].size(), 200u) << slot;
  EXPECT_EQ(rig.pool.total_blocks(), 16);
  EXPECT_GT(rig.gateway.load().preemptions, 0u);
}

// What is refused while the machine is short must not make the squeezed size the operator's own.
TEST(LivePool, AnOrderThatIsRefusedUnderPressureLeavesTheSizeThatWasOrderedBefore) {
  NullExecutor executor(100);
  Rig rig(&executor, {.slots = 4, .running_max = 2, .step_tokens_max = 64, .session_tokens = 256}, 40, 16, true, 64);
  Controls& controls = rig.gateway.controls();
  controls.hold_growth = controls.squeeze = true;
  rig.engine.turn();
  ASSERT_EQ(rig.pool.total_blocks(), 16);
  controls.squeeze = false;
  const uint32_t order = controls.order_pool(64);
  rig.engine.turn();
  EXPECT_EQ(controls.pool_answer(order), PoolAnswer::kNoMemory);
  controls.hold_growth = false;
  rig.engine.turn();
  EXPECT_EQ(rig.pool.total_blocks(), 40);
}

TEST(LivePool, AnswersOrdersAndRefusesWhatIsGuaranteed) {
  NullExecutor executor(100);
  Rig rig(&executor, {.slots = 4, .running_max = 2, .step_tokens_max = 64, .session_tokens = 256}, 16, 16, true, 40);
  Controls& controls = rig.gateway.controls();
  rig.submit(0, {1, 2, 3}, tokens(100));
  rig.specs[0].guaranteed = true;
  rig.engine.turn();
  EXPECT_EQ(rig.pool.live_blocks(), 7);
  uint32_t order = controls.order_pool(6);
  EXPECT_EQ(controls.pool_answer(order), PoolAnswer::kPending);
  rig.engine.turn();
  EXPECT_EQ(controls.pool_answer(order), PoolAnswer::kGuaranteed);
  EXPECT_EQ(rig.pool.total_blocks(), 16);
  order = controls.order_pool(40);
  rig.engine.turn();
  EXPECT_EQ(controls.pool_answer(order), PoolAnswer::kDone);
  EXPECT_EQ(rig.pool.total_blocks(), 40);
  controls.squeeze = true;
  rig.engine.turn();
  EXPECT_EQ(rig.pool.total_blocks(), 16) << "what lives and a block per place are fewer than a session needs";
  controls.squeeze = false;
  rig.engine.turn();
  EXPECT_EQ(rig.pool.total_blocks(), 40) << "back by itself";
  controls.cancel_newest = 1;
  rig.engine.turn();
  rig.collect();
  EXPECT_EQ(rig.ended[0], FinishReason::kMemoryPressure);
}

// A prompt that is scored gets the logprobs that its tokens had when they were generated, bit for bit, alone and in
// a crowd; and what follows it is what follows the same prompt unscored.
TEST(Promise, AScoreIsTheLogprobOfGeneration) {
  const auto with_logprobs = [](int32_t count, std::vector<int32_t> scored) {
    SamplingParams params = tokens(count + static_cast<int32_t>(scored.size()), 0.9f, 7);
    params.top_logprobs = 2;
    params.scored = std::move(scored);
    return params;
  };
  ModelRig quiet(64, 128);
  const std::vector<int32_t> prompt = prompt_of(2);
  quiet.rig->submit(0, prompt, with_logprobs(20, {}));
  quiet.rig->run_until_ended(1);
  std::vector<int32_t> whole = prompt;
  whole.insert(whole.end(), quiet.rig->outputs[0].begin(), quiet.rig->outputs[0].end());
  quiet.rig->submit(1, whole, with_logprobs(5, {}));
  quiet.rig->run_until_ended(2);

  ModelRig crowd(30, 24, 6, true);
  for (SlotIndex slot = 0; slot < 5; ++slot) crowd.rig->submit(slot, prompt_of(slot), tokens(25));
  crowd.rig->submit(5, {whole[0]}, with_logprobs(5, {whole.begin() + 1, whole.end()}));
  crowd.rig->run_until_ended(6);
  const std::vector<int32_t>& got = crowd.rig->outputs[5];
  const std::vector<float>& scores = crowd.rig->logprobs[5];
  ASSERT_EQ(got.size(), whole.size() + 4);
  EXPECT_TRUE(std::equal(whole.begin() + 1, whole.end(), got.begin()));
  const auto generated = static_cast<std::ptrdiff_t>(prompt.size()) - 1;
  EXPECT_TRUE(std::equal(quiet.rig->logprobs[0].begin(), quiet.rig->logprobs[0].end(), scores.begin() + generated));
  const std::vector<int32_t> behind(got.end() - 5, got.end());
  EXPECT_EQ(behind, quiet.rig->outputs[1]) << "the draws count from behind the prompt";
}

}  // namespace
}  // namespace weir
