// Speculation changes how long an answer takes and nothing else: every token, logarithm and end is what it is without
// drafts, through the real executor on a tiny model whose greedy text repeats itself. The clock stands still, so that
// the price of a draft is the documented one and not the machine's.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>

#include "base/counting_resource.h"
#include "engine/engine.h"
#include "engine/model_executor.h"

namespace weir {
namespace {

constexpr int kDrafts = 4;

struct Setup {
  int drafts = 0;  // of one sequence; 0: no speculation
  int32_t blocks = 64;
  int step_tokens = 64, running = 4;
  bool share = false;
  int parked = 0;
  KvFormat kv = KvFormat::kBF16;
};

struct Asked {
  std::vector<int32_t> prompt;
  SamplingParams params;
  int class_index = 0, choice = 0;
};

struct Answer {
  std::vector<TokenEvent> tokens;
  FinishReason reason = FinishReason::kNone;
};

std::vector<int32_t> ids_of(const Answer& answer) {
  std::vector<int32_t> ids;
  for (const TokenEvent& event : answer.tokens) ids.push_back(event.token);
  return ids;
}

// Bit for bit, logarithms included.
void expect_same(const Answer& got, const Answer& want) {
  EXPECT_EQ(ids_of(got), ids_of(want));
  EXPECT_EQ(got.reason, want.reason);
  for (size_t i = 0; i < std::min(got.tokens.size(), want.tokens.size()); ++i) {
    const TokenEvent &a = got.tokens[i], &b = want.tokens[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(a.logprob), std::bit_cast<uint32_t>(b.logprob)) << "token " << i;
    ASSERT_EQ(a.top_count, b.top_count);
    for (int t = 0; t < a.top_count; ++t) {
      ASSERT_EQ(a.top[static_cast<size_t>(t)].token, b.top[static_cast<size_t>(t)].token) << "token " << i;
      ASSERT_EQ(a.top[static_cast<size_t>(t)].logprob, b.top[static_cast<size_t>(t)].logprob) << "token " << i;
    }
  }
}

// A server of a tiny model; turns are made by hand.
class Served {
 public:
  explicit Served(Setup setup) : setup_(setup) {
    const std::string dir = "tests/golden/models/qwen2";
    const ModelSpec spec = load_spec(dir).value();
    const ModelOptions sizes{.format = WeightFormat::kInt8G32, .kv_format = setup.kv, .session_tokens = 128,
                             .block_tokens = 16, .step_tokens_max = setup.step_tokens,
                             .sequences_max = setup.running, .drafts_max = setup.drafts * setup.running};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model_ = std::move(Transformer::load(spec, sizes, *checkpoint, *backend_, nullptr)).value();
    const uint64_t block = Transformer::needs(spec, sizes, backend_->ops()).kv_block;
    kv_ = std::move(backend_->device().reserve(static_cast<uint64_t>(setup.blocks) * block)).value();
    model_->attach_kv(kv_.span(), setup.blocks);
    executor_ = std::make_unique<ModelExecutor>(model_.get(), backend_.get(), &kv_, std::vector<int32_t>{});
    SchedulerOptions options{.slots = kSlots, .running_max = setup.running, .step_tokens_max = setup.step_tokens,
                             .session_tokens = 128};
    if (setup.parked > 0) options.classes = {ClassKind::kUrgent, ClassKind::kBackground};
    options.parked_max = setup.parked;
    options.speculation = {.tokens_max = setup.drafts, .step_tokens_max = setup.drafts * setup.running};
    gateway_ = std::make_unique<Gateway>(kSlots, options.places(), 1, Gateway::kRingEvents);
    if (setup.share) prefix_ = std::make_unique<PrefixCache>(PrefixCacheOptions{.blocks_max = setup.blocks, .block_tokens = 16});
    pool_ = std::make_unique<BlockPool>(BlockPoolOptions{.blocks = setup.blocks, .blocks_max = setup.blocks, .block_tokens = 16,
                                                         .sequences_max = options.places(),
                                                         .blocks_per_sequence_max = std::min(setup.blocks, 8)},
                                        prefix_.get());
    engine_ = std::make_unique<Engine>(options, pool_.get(), prefix_.get(), gateway_.get(), executor_.get(), &clock_);
  }

  void submit(SlotIndex slot, const Asked& asked) {
    specs_[slot] = {.id = static_cast<uint64_t>(slot), .prompt = asked.prompt, .params = asked.params};
    specs_[slot].class_index = asked.class_index;
    gateway_->channel(slot).spec = &specs_[slot];
    gateway_->channel(slot).choice_index = asked.choice;
    gateway_->submit(slot);
  }
  void turn() {
    engine_->turn();
    engine_->scheduler().check_invariants();
    Notice notice;
    while (gateway_->next_notice(0, &notice)) {
      TokenEvent event;
      Channel& channel = gateway_->channel(notice.slot);
      while (channel.ring != nullptr && channel.ring->try_pop(&event)) answers_[notice.slot].tokens.push_back(event);
      if (notice.finish == FinishReason::kNone) continue;
      answers_[notice.slot].reason = notice.finish;
      ++ended_;
      gateway_->release(notice.slot);
    }
  }
  void run_until_ended(int count) {
    for (int i = 0; i < 20'000 && ended_ < count; ++i) turn();
    ASSERT_EQ(ended_, count);
  }
  Answer& answer(SlotIndex slot) { return answers_[slot]; }
  const LoadGauges& load() const { return gateway_->load(); }
  Gateway& gateway() { return *gateway_; }

 private:
  static constexpr int kSlots = 16;
  const Setup setup_;
  FakeClock clock_;
  std::unique_ptr<Backend> backend_ = std::move(make_backend("cpu", {.threads = 1, .isa = "", .pin = false})).value();
  std::unique_ptr<Transformer> model_;
  Region kv_;
  std::unique_ptr<ModelExecutor> executor_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<PrefixCache> prefix_;
  std::unique_ptr<BlockPool> pool_;
  std::map<SlotIndex, RequestSpec> specs_;
  std::map<SlotIndex, Answer> answers_;
  int ended_ = 0;
  std::unique_ptr<Engine> engine_;
};

// A few tokens over and over, another few for each number.
std::vector<int32_t> repeating_prompt(int number) {
  std::vector<int32_t> prompt;
  const int period = 4 + number % 3;
  for (int i = 0; i < 20 + 3 * number; ++i) prompt.push_back(i % period * 31 % 190 + number);
  return prompt;
}

// A model of random weights says many things; with so strong a taste for a few tokens it repeats itself.
SamplingParams plain(int32_t max_tokens) {
  SamplingParams params;
  params.logit_bias = {{.token = 3, .bias = 6}, {.token = 50, .bias = 6}, {.token = 90, .bias = 6}};
  params.max_tokens = max_tokens;
  params.temperature = 0;
  params.ignore_eos = true;
  return params;
}

// Every way of choosing a token that looks at what was produced before, and some that do not.
Asked asked_of(int number) {
  Asked asked{.prompt = repeating_prompt(number), .params = plain(50)};
  SamplingParams& params = asked.params;
  params.seed = static_cast<uint64_t>(number) + 7;
  if (number % 8 == 1) params.temperature = 0.7f;
  if (number % 8 == 2) params.repetition_penalty = 1.02f;
  if (number % 8 == 3) params.top_logprobs = 5;
  if (number % 8 == 4) params.temperature = 0.3f, params.top_p = 0.9f, params.top_logprobs = 2;
  if (number % 8 == 5) params.frequency_penalty = 0.05f, params.presence_penalty = 0.2f;
  if (number % 8 == 6) params.temperature = 0.2f, params.top_k = 4, params.logit_bias[0].bias = 4;
  if (number % 8 == 7) params.temperature = 0.4f, params.min_p = 0.1f, params.repetition_penalty = 0.9f;
  return asked;
}

Answer alone_without_drafts(const Asked& asked, KvFormat kv = KvFormat::kBF16) {
  Served quiet({.kv = kv});
  quiet.submit(0, asked);
  quiet.run_until_ended(1);
  return quiet.answer(0);
}

// At batch 1, one after the other: drafts are accepted and rejected, and steps are saved.
TEST(Speculative, AloneEveryAnswerIsTheSame) {
  uint64_t drafted = 0, accepted = 0, steps = 0;
  for (int number = 0; number < 8; ++number) {
    Served served({.drafts = kDrafts});
    served.submit(0, asked_of(number));
    served.run_until_ended(1);
    SCOPED_TRACE(number);
    expect_same(served.answer(0), alone_without_drafts(asked_of(number)));
    drafted += served.load().spec_drafted_tokens;
    accepted += served.load().spec_accepted_tokens;
    steps += served.load().steps;
  }
  EXPECT_GT(accepted, 60u);
  EXPECT_GT(drafted, accepted) << "the test wants guesses that are wrong, too";
  EXPECT_EQ(steps + accepted, 8u * 50u) << "each right guess is a step less; every prompt takes one that makes a token";
}

// Many at once in a pool so small that some are computed again, with prefixes, in chunks.
TEST(Speculative, InACrowdThatIsPreemptedEveryAnswerIsTheSame) {
  for (const bool share : {false, true}) {
    Served crowd({.drafts = kDrafts, .blocks = 14, .step_tokens = 24, .running = 4, .share = share});
    for (SlotIndex slot = 0; slot < 10; ++slot) crowd.submit(slot, asked_of(slot % 8));
    for (int i = 0; i < 12; ++i) crowd.turn();
    crowd.gateway().controls().order_pool(9);
    crowd.run_until_ended(10);
    for (SlotIndex slot = 0; slot < 10; ++slot) {
      SCOPED_TRACE(slot);
      expect_same(crowd.answer(slot), alone_without_drafts(asked_of(slot % 8)));
    }
    EXPECT_GT(crowd.load().preemptions, 0u) << "the test wants preemptions";
    EXPECT_GT(crowd.load().spec_accepted_tokens, 20u);
    EXPECT_GT(crowd.load().spec_drafted_tokens, crowd.load().spec_accepted_tokens);
  }
}

// What another round finds in the prefix cache was computed as drafts in part. Wrong ones must not be in it.
TEST(Speculative, WhatDraftsLeftInThePrefixCacheIsTheText) {
  Served served({.drafts = kDrafts, .share = true});
  std::vector<Asked> first, second;
  for (int number = 0; number < 4; ++number) {
    first.push_back(asked_of(number));
    served.submit(number, first.back());
  }
  served.run_until_ended(4);
  for (int number = 0; number < 4; ++number) {  // goes on behind the answer, as a conversation does
    Asked next = first[static_cast<size_t>(number)];
    const std::vector<int32_t> said = ids_of(served.answer(number));
    next.prompt.insert(next.prompt.end(), said.begin(), said.end());
    next.params.max_tokens = 20;
    second.push_back(next);
    served.submit(number + 4, next);
  }
  served.run_until_ended(8);
  EXPECT_GT(served.load().prefix_hit_tokens, 4u * 48u);
  EXPECT_GT(served.load().spec_accepted_tokens, 20u);
  for (int number = 0; number < 4; ++number) {
    SCOPED_TRACE(number);
    expect_same(served.answer(number + 4), alone_without_drafts(second[static_cast<size_t>(number)]));
  }
}

TEST(Speculative, WhatWasParkedGoesOnAsItWouldHave) {
  Served crowd({.drafts = kDrafts, .step_tokens = 24, .running = 2, .share = true, .parked = 2});
  for (int number = 0; number < 3; ++number) {
    Asked asked = asked_of(number);
    asked.class_index = 1;
    crowd.submit(number, asked);
  }
  for (int number = 3; number < 6; ++number) {
    for (int i = 0; i < 5; ++i) crowd.turn();
    crowd.submit(number, asked_of(number));
  }
  crowd.run_until_ended(6);
  EXPECT_GT(crowd.load().place_preemptions, 1u);
  EXPECT_GT(crowd.load().spec_accepted_tokens, 20u);
  for (int number = 0; number < 6; ++number) {
    SCOPED_TRACE(number);
    expect_same(crowd.answer(number), alone_without_drafts(asked_of(number)));
  }
}

TEST(Speculative, InEveryKvFormat) {
  for (const KvFormat kv : {KvFormat::kF32, KvFormat::kInt8, KvFormat::kInt4}) {
    Served served({.drafts = kDrafts, .kv = kv});
    for (SlotIndex slot = 0; slot < 4; ++slot) served.submit(slot, asked_of(slot));
    served.run_until_ended(4);
    EXPECT_GT(served.load().spec_accepted_tokens, 20u) << kv_format_name(kv);
    for (SlotIndex slot = 0; slot < 4; ++slot) {
      SCOPED_TRACE(std::string(kv_format_name(kv)) + " " + std::to_string(slot));
      expect_same(served.answer(slot), alone_without_drafts(asked_of(slot), kv));
    }
  }
}

// An answer may end in the middle of a run of right guesses: what was sampled behind its end is nobody's.
TEST(Speculative, AnEndInsideARunOfRightGuessesIsTheEnd) {
  const std::vector<int32_t> whole = ids_of(alone_without_drafts(asked_of(0)));
  int ends_inside = 0;
  for (int end = 8; end < 40; end += 3) {
    Asked asked = asked_of(0);
    asked.params.stop_token_ids = {whole[static_cast<size_t>(end)]};
    asked.params.min_tokens = end;  // a ban that rows behind a guess must see as well
    Served served({.drafts = kDrafts});
    served.submit(0, asked);
    served.run_until_ended(1);
    SCOPED_TRACE(end);
    const Answer want = alone_without_drafts(asked);
    expect_same(served.answer(0), want);
    ends_inside += want.reason == FinishReason::kStop && served.load().spec_accepted_tokens > 0;
  }
  EXPECT_GT(ends_inside, 0);
  for (int32_t most = 1; most < 30; ++most) {
    Asked asked = asked_of(0);
    asked.params.max_tokens = most;
    Served served({.drafts = kDrafts});
    served.submit(0, asked);
    served.run_until_ended(1);
    EXPECT_EQ(ids_of(served.answer(0)), std::vector<int32_t>(whole.begin(), whole.begin() + most));
    EXPECT_EQ(served.answer(0).reason, FinishReason::kLength);
  }
}

// A reader that takes nothing: drafts stop where the ring has no room for what they might give.
TEST(Speculative, AFullRingIsNeverOverrun) {
  Served served({.drafts = kDrafts});
  Asked asked = asked_of(0);
  asked.params.max_tokens = 90;
  served.submit(0, asked);
  Served quiet({});
  quiet.submit(0, asked);
  for (Served* one : {&served, &quiet}) {
    one->turn();
    EventRing* ring = one->gateway().channel(0).ring;
    ASSERT_NE(ring, nullptr);
    TokenEvent filler;  // no reader: what is in the ring stays
    while (ring->room() > 7) ASSERT_TRUE(ring->try_push(filler));
    one->run_until_ended(1);
  }
  std::vector<int32_t> got = ids_of(served.answer(0)), want = ids_of(quiet.answer(0));
  std::erase(got, 0), std::erase(want, 0);
  EXPECT_EQ(got, want);
  EXPECT_GT(served.load().spec_accepted_tokens, 0u);
}

// Abandoned with drafts in it and computed again, a step gives what it would have given.
TEST(Speculative, AnAbandonedStepCommitsNoGuess) {
  struct Abandoning final : Executor {
    NullExecutor inner{7};  // repeats itself after 7 tokens
    std::function<void()> on_hang;
    Status run(const Step& step, std::span<StepResult> results) override {
      const bool drafts = std::any_of(step.sequences.begin(), step.sequences.end(),
                                      [](const StepSequence& part) { return part.draft_count() > 0; });
      const Status status = inner.run(step, results);
      if (!drafts || step.sequences.size() == 1) return status;  // alone it is nobody's fault
      on_hang();
      return abandoned();
    }
  } executor;
  FakeClock clock;
  Gateway gateway(2, 2, 1, Gateway::kRingEvents);
  BlockPool pool({.blocks = 16, .block_tokens = 16, .sequences_max = 2, .blocks_per_sequence_max = 8});
  Engine engine({.slots = 2, .running_max = 2, .step_tokens_max = 32, .session_tokens = 128,
                 .speculation = {.tokens_max = 4, .step_tokens_max = 8}},
                &pool, nullptr, &gateway, &executor, &clock);
  executor.on_hang = [&engine] { engine.abandon_step(engine.steps().board().number()); };
  std::vector<RequestSpec> specs(2);
  for (SlotIndex slot = 0; slot < 2; ++slot) {
    RequestSpec& spec = specs[static_cast<size_t>(slot)];
    spec.prompt = {1, 2, 3};
    spec.params = plain(60);
    gateway.channel(slot).spec = &spec;
    gateway.submit(slot);
  }
  std::map<SlotIndex, std::vector<int32_t>> outputs;
  size_t ended = 0;
  for (int i = 0; i < 1000 && ended < 2; ++i) {
    engine.turn();
    engine.scheduler().check_invariants();
    Notice notice;
    while (gateway.next_notice(0, &notice)) {
      TokenEvent event;
      while (gateway.channel(notice.slot).ring->try_pop(&event)) outputs[notice.slot].push_back(event.token);
      ended += notice.finish == FinishReason::kLength;
    }
  }
  ASSERT_EQ(ended, 2u);
  std::vector<int32_t> want;
  for (int position = 3; position < 63; ++position) want.push_back(position * 7919 % 7);
  EXPECT_EQ(outputs[0], want);
  EXPECT_EQ(outputs[1], want);
  EXPECT_GT(engine.steps().abandoned_steps(), 3u);
  EXPECT_GT(gateway.load().spec_accepted_tokens, 30u);
}

TEST(Speculative, ThePlanHasItsBytesAndNoneWhenItIsOff) {
  SchedulerOptions options{.slots = 20, .running_max = 5, .step_tokens_max = 100, .session_tokens = 300};
  const BlockPoolOptions blocks{.blocks = 30, .blocks_max = 90, .block_tokens = 16, .sequences_max = 5, .blocks_per_sequence_max = 19};
  const uint64_t off = Engine::bytes(options, blocks);
  options.speculation = {.tokens_max = 6, .step_tokens_max = 24};
  NullExecutor executor(100);
  FakeClock clock;
  Gateway gateway(options.slots, options.running_max, 1, Gateway::kRingEvents);
  BlockPool pool(blocks);
  CountingResource counting;
  Engine engine(options, &pool, nullptr, &gateway, &executor, &clock, &counting);
  EXPECT_EQ(counting.bytes(), Engine::bytes(options, blocks));
  EXPECT_EQ(counting.bytes(), off + Speculation::bytes(options.speculation, 5, 300) + arena_bytes(24 * sizeof(TokenEvent)));
  options.speculation = {};
  EXPECT_EQ(Engine::bytes(options, blocks), off);
}

}  // namespace
}  // namespace weir
