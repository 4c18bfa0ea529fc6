// The engine as it is served: its own thread, a real (tiny) model, a pool with a worker. Once the threads are sealed
// no step may call the allocator, whatever is in it: prefill in chunks, decode, preemption, every sampling parameter.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>
#include <memory>
#include <thread>

#include "base/alloc_guard.h"
#include "engine/engine.h"
#include "engine/model_executor.h"
#include "memory/arena/arena.h"

namespace weir {
namespace {

constexpr int kSlots = 16, kPlaces = 6, kStepTokens = 24, kBlockTokens = 16;
constexpr int32_t kBlocks = 14;  // fewer than the places use: sequences preempt each other
constexpr int64_t kSession = 128;

struct Served {
  std::unique_ptr<Backend> backend = std::move(make_backend("cpu", {.threads = 2, .isa = "", .pin = false})).value();
  std::unique_ptr<Transformer> model;
  Region kv, arena_memory;
  std::unique_ptr<ModelExecutor> executor;
  // With drafts time stands still for the engine, so that their price does not depend on the machine.
  std::unique_ptr<Clock> clock;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<Gateway> gateway;
  PrefixCache prefix{{.blocks_max = kBlocks, .block_tokens = kBlockTokens}};
  BlockPool pool{{.blocks = kBlocks, .block_tokens = kBlockTokens, .sequences_max = kPlaces,
                  .blocks_per_sequence_max = static_cast<int32_t>(kSession / kBlockTokens)}, &prefix};
  std::unique_ptr<Engine> engine;  // last: its thread ends before what it reads

  explicit Served(int drafts = 0) {
    if (drafts > 0) clock = std::make_unique<FakeClock>();
    else clock = std::make_unique<SteadyClock>();
    const std::string dir = "tests/golden/models/qwen2";
    const ModelSpec spec = load_spec(dir).value();
    const ModelOptions options{.format = WeightFormat::kBF16, .kv_format = KvFormat::kBF16, .session_tokens = kSession,
                               .block_tokens = kBlockTokens, .step_tokens_max = kStepTokens,
                               .sequences_max = kPlaces, .drafts_max = 2 * drafts};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model = std::move(Transformer::load(spec, options, *checkpoint, *backend, nullptr)).value();
    const uint64_t block = Transformer::needs(spec, options, backend->ops()).kv_block;
    kv = std::move(backend->device().reserve(kBlocks * block)).value();
    model->attach_kv(kv.span(), kBlocks);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});

    const uint64_t bytes = Gateway::bytes(kSlots, kPlaces, 1, Gateway::kRingEvents);
    arena_memory = std::move(backend->device().reserve(bytes)).value();
    auto* begin = static_cast<std::byte*>(backend->device().host_pointer(arena_memory.span().data));
    arena = std::make_unique<Arena>(std::span<std::byte>(begin, arena_memory.span().bytes));
    gateway = std::make_unique<Gateway>(kSlots, kPlaces, 1, Gateway::kRingEvents, &arena->part("slots and rings", bytes));
    arena->seal();
    engine = std::make_unique<Engine>(SchedulerOptions{.slots = kSlots, .running_max = kPlaces,
                                                       .step_tokens_max = kStepTokens, .session_tokens = kSession,
                                                       .speculation = {.tokens_max = drafts, .step_tokens_max = 2 * drafts}},
                                      &pool, &prefix, gateway.get(), executor.get(), clock.get());
  }
};

// Each way of sampling in turn.
SamplingParams params_of(int number) {
  SamplingParams params;
  params.ignore_eos = true;
  params.max_tokens = 20 + number % 3 * 15;
  params.temperature = number % 4 == 0 ? 0.0f : 0.9f;
  params.seed = static_cast<uint64_t>(number);
  if (number % 2 == 1) params.top_k = 20;
  if (number % 3 == 1) params.top_p = 0.8f;
  if (number % 5 == 1) params.min_p = 0.05f;
  if (number % 3 == 2) params.repetition_penalty = 1.2f;
  if (number % 4 == 3) params.frequency_penalty = params.presence_penalty = 0.5f;
  if (number % 2 == 0) params.top_logprobs = 5;
  if (number % 7 == 2) params.min_tokens = 5;
  if (number % 7 == 3) params.logit_bias = {{.token = 3, .bias = -5.0f}};
  if (number % 3 == 0) params.logit_bias = {{.token = 3, .bias = 8.0f}, {.token = 50, .bias = 8.0f}};  // repeats itself
  return params;
}

struct Clients {
  Gateway& gateway;
  std::deque<RequestSpec> specs;  // each lives until its slot is released
  int next = 0;
  size_t tokens = 0, logprobs = 0, ended = 0;

  void submit(SlotIndex slot) {
    RequestSpec spec{.id = static_cast<uint64_t>(next), .prompt = {}, .params = params_of(next)};
    for (int i = 0; i < 10 + next % 7 * 8; ++i) spec.prompt.push_back((i * 31 + next * 17) % 200);
    ++next;
    gateway.channel(slot).spec = &specs.emplace_back(std::move(spec));
    gateway.submit(slot);
    if (next % 11 == 0) gateway.cancel(slot);
  }
  // One look at the rings; a slot that ended is used again at once.
  void collect(int submit_until) {
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      Channel& channel = gateway.channel(notice.slot);
      TokenEvent event;
      while (channel.ring != nullptr && channel.ring->try_pop(&event)) {
        ++tokens;
        logprobs += event.top_count > 0;
      }
      if (notice.finish == FinishReason::kNone) continue;
      ++ended;
      gateway.release(notice.slot);
      if (next < submit_until) submit(notice.slot);
    }
  }
};

void run_without_the_allocator(int drafts) {
  Served served(drafts);
  Clients clients{*served.gateway, {}};
  const LoadGauges& load = served.gateway->load();
  const uint64_t engine_before = sealed_allocations("engine"), worker_before = sealed_allocations("worker");
  ASSERT_TRUE(served.engine->start().ok());
  for (SlotIndex slot = 0; slot < kSlots; ++slot) clients.submit(slot);
  constexpr int kRequests = 60;
  // On a fast machine the first ones end before the pool has shrunk once: they go on until something was preempted.
  const auto all = [&clients] { return static_cast<size_t>(std::max(clients.next, int{kRequests})); };
  for (int waited_ms = 0; clients.ended < all() && waited_ms < 60'000; ++waited_ms) {
    clients.collect(load.preemptions == 0 ? std::numeric_limits<int>::max() : kRequests);
    // A pool that changes its size preempts, evicts and moves; none of that may allocate either.
    if (waited_ms % 16 == 8) served.gateway->controls().order_pool(waited_ms % 32 == 8 ? kBlocks / 2 : kBlocks);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  served.engine->stop();
  EXPECT_EQ(clients.ended, all());
  EXPECT_GE(load.steps + load.spec_accepted_tokens, 200u);
  EXPECT_GT(load.preemptions, 0u) << "the test wants preemptions";
  EXPECT_GT(clients.tokens, 1000u);
  EXPECT_GT(clients.logprobs, 100u);
  EXPECT_EQ(sealed_allocations("engine"), engine_before);
  EXPECT_EQ(sealed_allocations("worker"), worker_before);
  EXPECT_EQ(load.spec_accepted_tokens > 0, drafts > 0);
  EXPECT_EQ(load.spec_drafted_tokens > load.spec_accepted_tokens, drafts > 0);
}

TEST(Sealed, TwoHundredStepsWithoutTheAllocator) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  run_without_the_allocator(0);
}

TEST(Sealed, WithDraftsTheAllocatorIsNotCalledEither) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  run_without_the_allocator(4);
}

// The same eyes see one allocation: an executor that makes one in its third step is counted once.
TEST(Sealed, OneAllocationOfTheEngineThreadIsCounted) {
  if (!alloc_guard_linked()) GTEST_SKIP() << "the sanitizer has its own operator new";
  struct Wasteful final : Executor {
    int steps = 0;
    Status run(const Step& step, std::span<StepResult> results) override {
      if (++steps == 3) {
        void* volatile waste = ::operator new(8);
        ::operator delete(waste);
      }
      return NullExecutor(10).run(step, results);
    }
  } wasteful;
  set_sealed_allocation_fatal(false);
  SteadyClock clock;
  Gateway gateway(1, 1, 1, Gateway::kRingEvents);
  BlockPool pool({.blocks = 8, .block_tokens = 16, .sequences_max = 1, .blocks_per_sequence_max = 8});
  Engine engine({.slots = 1, .running_max = 1, .step_tokens_max = 16, .session_tokens = 128}, &pool, nullptr, &gateway,
                &wasteful, &clock);
  Clients clients{gateway, {}};
  const uint64_t before = sealed_allocations("engine");
  ASSERT_TRUE(engine.start().ok());
  clients.submit(0);
  for (int waited_ms = 0; clients.ended < 1 && waited_ms < 60'000; ++waited_ms) {
    clients.collect(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  engine.stop();
  EXPECT_EQ(sealed_allocations("engine"), before + 1);
#ifndef NDEBUG
  set_sealed_allocation_fatal(true);
#endif
}

}  // namespace
}  // namespace weir
