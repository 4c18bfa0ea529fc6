// bench_prefix: what a lookup in the prefix cache costs, and what a hit saves.
//
//   bench_prefix [--threads N] [--rounds N] [--lookups 1]      --lookups 1: without the model
//
// A lookup hashes and compares every token of the known prefix. Floor: 4 bytes of the text and 4 of the cache's
// copy are read for each token, 8 KB for 1,000 tokens: under a microsecond from any cache. Cold: 256 MiB of other
// memory were read before, so the text, its copy, entries and index all come from memory, entry by entry (a chain:
// the next entry is known only when the one before was found). Goal: 20 us per 1,000 tokens.
//
// A hit: a prompt of 4,000 tokens that was served before and 16 new ones, against the first time, through the
// Engine with the real executor; random weights in the shape of Qwen2.5-0.5B, int8, nothing else running. Goal: 5 %
// of the time to the first token. Floor: 48 of 4,016 tokens are computed, 1.2 %.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/model_executor.h"
#include "memory/prefix/prefix_cache.h"
#include "support/random_checkpoint.h"

namespace weir {
namespace {

using SteadyTime = std::chrono::steady_clock;

double us_since(SteadyTime::time_point begin) {
  return std::chrono::duration<double, std::micro>(SteadyTime::now() - begin).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::vector<int32_t> random_tokens(std::mt19937* random, int count) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  for (int32_t& token : out) token = static_cast<int32_t>((*random)() % 150'000);
  return out;
}

// ---- A lookup ----

struct Lookup {
  double hot_us, cold_us;  // per 1,000 tokens
};

// 512 texts of 4,096 tokens are known: 8 MB of tokens.
Lookup measure_lookup(int block_tokens) {
  constexpr int kTexts = 512, kTokens = 4096;
  const int per_text = kTokens / block_tokens;
  PrefixCache cache({.blocks_max = kTexts * per_text, .block_tokens = block_tokens, .seed = 12345});
  std::mt19937 random(7);
  std::vector<std::vector<int32_t>> texts;
  for (int t = 0; t < kTexts; ++t) {
    texts.push_back(random_tokens(&random, kTokens));
    int32_t parent = PrefixCache::kNone;
    for (int b = 0; b < per_text; ++b) {
      const auto part = std::span<const int32_t>(texts.back())
                            .subspan(static_cast<size_t>(b * block_tokens), static_cast<size_t>(block_tokens));
      parent = cache.publish(t * per_text + b, parent, part);
    }
  }
  std::vector<uint64_t> other((256u << 20) / sizeof(uint64_t), 1);
  std::vector<int32_t> out(static_cast<size_t>(per_text));
  uint64_t sum = 0;
  const auto match = [&](const std::vector<int32_t>& text) {
    const auto begin = SteadyTime::now();
    const int32_t found = cache.match(text, out);
    const double us = us_since(begin);
    if (found != per_text) std::exit(1);
    return us * 1000 / kTokens;
  };
  std::vector<double> hot, cold;
  for (int i = 0; i < 200; ++i) hot.push_back(match(texts[0]));
  for (size_t i = 0; i < 40; ++i) {
    sum += std::accumulate(other.begin(), other.end(), uint64_t{0});
    cold.push_back(match(texts[(i * 37 + 5) % kTexts]));
  }
  if (sum == 0) std::exit(1);
  return {median(hot), median(cold)};
}

void print_lookups() {
  std::printf("%-14s %26s %26s\n", "block tokens", "hot, us per 1,000 tokens", "cold, us per 1,000 tokens");
  for (const int block_tokens : {16, 32, 64, 128}) {
    const Lookup lookup = measure_lookup(block_tokens);
    std::printf("%-14d %26.2f %26.2f\n", block_tokens, lookup.hot_us, lookup.cold_us);
  }
}

// ---- A hit ----

constexpr int kShared = 4000, kOwn = 16;
constexpr int64_t kSession = 4352;  // 68 blocks of 64
constexpr int kBlockTokens = 64, kBlocks = 3 * kSession / kBlockTokens, kStepTokens = 512, kSlots = 2;

struct Served {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Transformer> model;
  Region kv;
  std::unique_ptr<ModelExecutor> executor;
  SteadyClock clock;
  Gateway gateway{kSlots, 1, 1, Gateway::kRingEvents};
  PrefixCache prefix{{.blocks_max = kBlocks, .block_tokens = kBlockTokens, .seed = 12345}};
  BlockPool pool{{.blocks = kBlocks,
                  .block_tokens = kBlockTokens,
                  .sequences_max = 1,
                  .blocks_per_sequence_max = static_cast<int32_t>(kSession / kBlockTokens)},
                 &prefix};
  std::unique_ptr<Engine> engine;

  Served(const std::string& dir, int threads) {
    backend = std::move(make_backend("cpu", {.threads = threads, .isa = "", .pin = true})).value();
    const ModelSpec spec = load_spec(dir).value();
    const ModelOptions options{.format = WeightFormat::kInt8G32,
                               .kv_format = KvFormat::kBF16,
                               .session_tokens = kSession,
                               .block_tokens = kBlockTokens,
                               .step_tokens_max = kStepTokens,
                               .sequences_max = 1};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model = std::move(Transformer::load(spec, options, *checkpoint, *backend, nullptr)).value();
    kv = std::move(backend->device().reserve(kBlocks * Transformer::needs(spec, options, backend->ops()).kv_block))
             .value();
    model->attach_kv(kv.span(), kBlocks);
    executor = std::make_unique<ModelExecutor>(model.get(), backend.get(), &kv, std::vector<int32_t>{});
    executor->bind_thread();
    engine = std::make_unique<Engine>(
        SchedulerOptions{
            .slots = kSlots, .running_max = 1, .step_tokens_max = kStepTokens, .session_tokens = kSession},
        &pool, &prefix, &gateway, executor.get(), &clock);
  }

  struct First {
    double ms;
    int cached_tokens;
  };
  // One request of one token, alone, on this thread.
  First first_token(const std::vector<int32_t>& prompt) {
    RequestSpec spec;
    spec.prompt = prompt;
    spec.params.max_tokens = 1;
    spec.params.ignore_eos = true;
    spec.params.temperature = 0;
    gateway.channel(0).spec = &spec;
    const auto begin = SteadyTime::now();
    gateway.submit(0);
    Notice notice;
    while (!gateway.next_notice(0, &notice) || notice.finish == FinishReason::kNone) engine->turn();
    const double ms = us_since(begin) / 1e3;
    const int cached = gateway.channel(0).cached_tokens;
    if (notice.finish != FinishReason::kLength) std::exit(1);
    gateway.release(0);
    engine->turn();
    return {ms, cached};
  }
};

int print_hits(int threads, int rounds) {
  const std::string dir =
      (std::filesystem::temp_directory_path() / ("weir-prefix-" + std::to_string(getpid()))).string();
  const Status written = testing::write_random_checkpoint(dir, testing::kQwenHalfBillionConfig);
  if (!written.ok()) return std::fprintf(stderr, "bench_prefix: %s\n", written.message().c_str()), 1;
  Served served(dir, threads);
  std::filesystem::remove_all(dir);
  std::printf("\n%s, Qwen2.5-0.5B shape, int8 weights, bf16 KV, %d shared tokens and %d new ones\n",
              std::string(served.backend->description()).c_str(), kShared, kOwn);
  std::printf("%-8s %12s %12s %14s %12s\n", "round", "cold, ms", "hit, ms", "hit / cold", "cached");
  std::mt19937 random(11);
  const auto with_question = [&](std::vector<int32_t> prompt) {
    const std::vector<int32_t> question = random_tokens(&random, kOwn);
    prompt.insert(prompt.end(), question.begin(), question.end());
    return prompt;
  };
  std::vector<double> ratios;
  for (int round = 1; round <= rounds; ++round) {
    const std::vector<int32_t> shared = random_tokens(&random, kShared);
    const Served::First cold = served.first_token(with_question(shared));
    if (cold.cached_tokens != 0) return 1;
    std::vector<double> hits;
    int cached = 0;
    for (int i = 0; i < 3; ++i) {
      const Served::First hit = served.first_token(with_question(shared));
      hits.push_back(hit.ms);
      cached = hit.cached_tokens;
    }
    ratios.push_back(median(hits) / cold.ms);
    std::printf("%-8d %12.1f %12.1f %13.2f%% %12d\n", round, cold.ms, median(hits), 100 * ratios.back(), cached);
  }
  std::printf("median %.2f%%\n", 100 * median(ratios));
  return 0;
}

int run(int argc, char** argv) {
  int threads = 0, rounds = 3;
  bool model = true;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    const int value = i + 1 < argc ? std::atoi(argv[i + 1]) : -1;
    if (flag == "--threads" && value >= 0)
      threads = value;
    else if (flag == "--rounds" && value >= 1)
      rounds = std::min(value, 100);
    else if (flag == "--lookups" && value >= 0)
      model = value == 0;
    else
      return std::fprintf(stderr, "bench_prefix: '%s' is not understood\n", flag.c_str()), 2;
  }
  print_lookups();
  return model ? print_hits(threads, rounds) : 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
