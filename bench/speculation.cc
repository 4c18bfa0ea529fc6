// bench_speculation: tokens a second with and without drafts (--speculative ngram), in turn, on texts that repeat
// themselves and on texts that do not.
//
//   bench_speculation [--model DIR] [--threads N] [--tokens N] [--rounds N] [--drafts N] [--batch N]
//
// The engine and the forward are the real ones, int8 weights; without --model random weights in the shape of
// Qwen2.5-0.5B. Random weights have nothing to say, so what is "sampled" is put in the place of the model's word by
// a script, after the model has computed it: what a step costs is real, what is accepted is the text's.
//   repeats   the answer is the prompt once more: a quotation, a file that is rewritten
//   edits     the same with one token in 20 changed
//   in vain   words drawn from 40: pairs recur all the time and say nothing of what follows. The worst case
//   new       words drawn from the whole vocabulary: nothing recurs
// Goals: repeats at batch 1 at least twice as fast; in vain and new not below 0.97. Ceiling of `repeats`: where a
// step is bound by memory, 1 + drafts; rows that cost what a token costs (large batches) leave nothing to gain.
// With --threads 1 (the default) times are the processor's, so that other people's work weighs less; A B A B in
// each round, medians.
#include <unistd.h>

#include <filesystem>

#include "real_model.h"
#include "sim/random.h"
#include "support/random_checkpoint.h"

namespace weir {
namespace {

constexpr int64_t kSession = 2048;
constexpr int kBlock = 64, kStepTokens = 512, kPrompt = 200;

enum class Text { kRepeats, kEdits, kInVain, kNew };
constexpr std::array<const char*, 4> kTextNames = {"repeats", "edits", "in vain", "new"};

// The token at a position of the text of a sequence.
int32_t token_at(Text text, int64_t sequence, int64_t position, int64_t vocab) {
  const auto word = [&](int64_t at, int64_t of) {
    return static_cast<int32_t>(sim::mix(static_cast<uint64_t>(sequence) + 1, static_cast<uint64_t>(at)) %
                                static_cast<uint64_t>(of));
  };
  switch (text) {
    case Text::kRepeats:
      return word(position % kPrompt, vocab);
    case Text::kEdits:
      return word(position >= kPrompt && position % 20 == 7 ? position : position % kPrompt, vocab);
    case Text::kInVain:
      return word(position, 40);
    case Text::kNew:
      return word(position, vocab);
  }
  return 0;
}

// Computes with the executor behind it, and says what the script says.
class ScriptedExecutor final : public Executor {
 public:
  ScriptedExecutor(Executor* inner, Text text, int64_t vocab) : inner_(inner), text_(text), vocab_(vocab) {}
  Status run(const Step& step, std::span<StepResult> results) override {
    WEIR_RETURN_IF_ERROR(inner_->run(step, results));
    for (size_t i = 0; i < results.size(); ++i) {
      const StepSequence& part = step.sequences[i];
      const auto known = static_cast<int64_t>(part.prompt.size() + part.output.size());
      const auto say = [&](int32_t accepted, TokenEvent* out) {
        out->token = token_at(text_, part.slot, known + accepted, vocab_);
        return true;
      };
      if (part.samples) sample_with_drafts(part, say, &results[i]);
    }
    return ok_status();
  }
  void copy_blocks(std::span<const BlockCopy> copies) override { inner_->copy_blocks(copies); }

 private:
  Executor* const inner_;
  const Text text_;
  const int64_t vocab_;
};

struct Asked {
  int threads = 1, tokens = 200, rounds = 3, drafts = 8;
  std::vector<int> batches = {1, 4, 16};
};

struct Measured {
  double tokens_per_second = 0;
  uint64_t drafted = 0, accepted = 0, steps = 0;
};

struct Model {
  ModelSpec spec;
  ModelOptions options;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Transformer> model;
  Region kv;
  int32_t blocks = 0;
  std::unique_ptr<ModelExecutor> executor;

  Model(const std::string& dir, const Asked& asked) {
    const int places = *std::max_element(asked.batches.begin(), asked.batches.end());
    spec = must(load_spec(dir), "the model's config");
    backend = must(make_backend("cpu", {.threads = asked.threads, .isa = "", .pin = false}), "the backend");
    options = {.format = WeightFormat::kInt8G32,
               .kv_format = KvFormat::kBF16,
               .session_tokens = kSession,
               .block_tokens = kBlock,
               .step_tokens_max = kStepTokens,
               .sequences_max = places,
               .drafts_max = asked.drafts * kDraftingSequences};
    const auto checkpoint = must(Checkpoint::open(dir), "the weights");
    model = must(Transformer::load(spec, options, *checkpoint, *backend, nullptr), "the weights");
    blocks = static_cast<int32_t>(places * ((kPrompt + asked.tokens) / kBlock + 1));
    kv = must(backend->device().reserve(static_cast<uint64_t>(blocks) *
                                        Transformer::needs(spec, options, backend->ops()).kv_block),
              "the KV cache");
    model->attach_kv(kv.span(), blocks);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});
    executor->bind_thread();
  }
};

// Serves `batch` answers at once; the time is that of the steps after all prompts were computed.
Measured serve(Model* rig, const Asked& asked, Text text, int batch, int drafts) {
  const BenchClock clock(asked.threads == 1);
  ScriptedExecutor executor(rig->executor.get(), text, rig->spec.vocab);
  SchedulerOptions options{
      .slots = batch, .running_max = batch, .step_tokens_max = kStepTokens, .session_tokens = kSession};
  options.speculation = {.tokens_max = drafts, .step_tokens_max = drafts * std::min(batch, kDraftingSequences)};
  Gateway gateway(batch, batch, 1, Gateway::kRingEvents);
  BlockPool pool(
      {.blocks = rig->blocks,
       .block_tokens = kBlock,
       .sequences_max = batch,
       .blocks_per_sequence_max = static_cast<int32_t>(std::min<int64_t>(rig->blocks, kSession / kBlock))});
  Engine engine(options, &pool, nullptr, &gateway, &executor, &clock);
  std::vector<RequestSpec> specs(static_cast<size_t>(batch));
  for (SlotIndex slot = 0; slot < batch; ++slot) {
    RequestSpec& spec = specs[static_cast<size_t>(slot)];
    for (int i = 0; i < kPrompt; ++i) spec.prompt.push_back(token_at(text, slot, i, rig->spec.vocab));
    spec.params.temperature = 0;
    spec.params.ignore_eos = true;
    spec.params.max_tokens = asked.tokens;
    gateway.channel(slot).spec = &spec;
    gateway.submit(slot);
  }
  const LoadGauges& load = gateway.load();
  int ended = 0;
  double begin = 0;
  uint64_t tokens_before = 0;
  while (ended < batch) {
    if (begin == 0 && load.prompt_tokens == static_cast<uint64_t>(batch) * kPrompt) {
      begin = clock.us();
      tokens_before = load.output_tokens;
    }
    engine.turn();
    Notice notice;
    TokenEvent event;
    while (gateway.next_notice(0, &notice)) {
      while (gateway.channel(notice.slot).ring->try_pop(&event)) {
      }
      ended += notice.finish != FinishReason::kNone;
    }
  }
  const auto tokens = static_cast<double>(load.output_tokens - tokens_before);
  return {tokens * 1e6 / (clock.us() - begin), load.spec_drafted_tokens, load.spec_accepted_tokens, load.steps};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print_table(Model* rig, const Asked& asked) {
  std::printf("%-9s %6s %12s %12s %8s %10s %10s\n", "text", "batch", "off, tok/s", "on, tok/s", "on/off", "drafted",
              "accepted");
  for (const int batch : asked.batches) {
    for (const Text text : {Text::kRepeats, Text::kEdits, Text::kInVain, Text::kNew}) {
      std::vector<double> off, on, ratios;
      Measured last;
      for (int round = 0; round < asked.rounds; ++round) {
        off.push_back(serve(rig, asked, text, batch, 0).tokens_per_second);
        last = serve(rig, asked, text, batch, asked.drafts);
        on.push_back(last.tokens_per_second);
        ratios.push_back(on.back() / off.back());
      }
      std::printf("%-9s %6d %12.1f %12.1f %8.2f %10llu %10llu\n", kTextNames[static_cast<size_t>(text)], batch,
                  median(off), median(on), median(ratios), static_cast<unsigned long long>(last.drafted),
                  static_cast<unsigned long long>(last.accepted));
      std::fflush(stdout);
    }
  }
}

int run(int argc, char** argv) {
  Asked asked;
  std::string dir;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    const int number = std::atoi(value);
    if (flag == "--model" && *value != 0)
      dir = value;
    else if (flag == "--threads" && number >= 1)
      asked.threads = std::min(number, 1024);
    else if (flag == "--tokens" && number >= 8)
      asked.tokens = std::min<int>(number, kSession - kPrompt - 1);
    else if (flag == "--rounds" && number >= 1)
      asked.rounds = std::min(number, 100);
    else if (flag == "--drafts" && number >= 1)
      asked.drafts = std::min(number, 16);
    else if (flag == "--batch" && number >= 1)
      asked.batches = {std::min(number, 64)};
    else
      return std::fprintf(stderr, "bench_speculation: '%s' is not understood\n", flag.c_str()), 2;
  }
  const bool random = dir.empty();
  if (random) {
    dir = (std::filesystem::temp_directory_path() / ("weir-speculation-" + std::to_string(getpid()))).string();
    const Status written = testing::write_random_checkpoint(dir, testing::kQwenHalfBillionConfig);
    if (!written.ok()) return std::fprintf(stderr, "bench_speculation: %s\n", written.message().c_str()), 1;
  }
  Model rig(dir, asked);
  if (random) std::filesystem::remove_all(dir);
  std::printf("%s, %s, int8 weights, %d of prompt and %d of answer, up to %d drafts, %s\n",
              std::string(rig.backend->description()).c_str(), random ? "Qwen2.5-0.5B shape" : dir.c_str(), kPrompt,
              asked.tokens, asked.drafts, asked.threads == 1 ? "processor time" : "wall time");
  print_table(&rig, asked);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
