// bench_model: decode and prefill of random weights in the shape of Qwen2.5-0.5B, beside this machine's own read
// bandwidth measured in the same run, before and after.
//
//   bench_model [--format int8|bf16|f32] [--kv f32|bf16|int8|int4] [--threads N] [--context N] [--batch N] [--rounds N]
//               [--compare-kv 1]
//
// --compare-kv 1: instead of the tables, decode steps at batch 1 and 8 with bf16, int8 and int4 KV in turn, so that a
// noise of the machine meets all of them.
//
// Floor of a decode at batch 1: every packed weight is read once, so tokens/s <= bandwidth / weight bytes. The head
// counts (it is the largest matrix), the embedding does not (one row is read).
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "model/transformer.h"
#include "support/random_checkpoint.h"

namespace weir {
namespace {

using SteadyTime = std::chrono::steady_clock;

double seconds_since(SteadyTime::time_point begin) {
  return std::chrono::duration<double>(SteadyTime::now() - begin).count();
}

struct Options {
  WeightFormat format = WeightFormat::kInt8G32;
  KvFormat kv = KvFormat::kBF16;
  int threads = 0;
  int context = 128;
  int batch = 64;  // most sequences
  int rounds = 5;
  bool compare_kv = false;
};

// Bytes per second that `threads` threads read from a buffer far larger than any cache; best of three passes.
double read_bandwidth(int threads) {
  const size_t bytes = size_t{1} << 30;
  std::vector<uint64_t> buffer(bytes / 8, 1);
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const auto begin = SteadyTime::now();
    std::vector<std::thread> team;
    std::vector<uint64_t> sums(static_cast<size_t>(threads) * 8);
    for (int t = 0; t < threads; ++t) {
      team.emplace_back([&, t] {
        const size_t part = buffer.size() / static_cast<size_t>(threads);
        uint64_t lanes[8] = {};
        for (size_t i = static_cast<size_t>(t) * part; i + 8 <= (static_cast<size_t>(t) + 1) * part; i += 8) {
          for (size_t j = 0; j < 8; ++j) lanes[j] += buffer[i + j];
        }
        for (const uint64_t lane : lanes) sums[static_cast<size_t>(t) * 8] += lane;
      });
    }
    for (std::thread& thread : team) thread.join();
    best = std::max(best, static_cast<double>(bytes) / seconds_since(begin));
  }
  return best;
}

struct Bench {
  Options options;
  Backend* backend;
  ModelSpec spec;
  ModelOptions sizes;
  std::unique_ptr<Transformer> model;
  Region kv;
  int64_t blocks = 0;

  std::vector<std::vector<int32_t>> tables;

  void load(const std::string& dir) {
    spec = load_spec(dir).value();
    const int64_t longest = std::max(options.context + 64, 640);
    sizes = {.format = options.format,
             .kv_format = options.kv,
             .session_tokens = longest, .block_tokens = 64, .step_tokens_max = 512, .sequences_max = options.batch};
    auto checkpoint = std::move(Checkpoint::open(dir)).value();
    model = std::move(Transformer::load(spec, sizes, *checkpoint, *backend, nullptr)).value();
    blocks = options.batch * sizes.blocks_per_sequence();
    kv = std::move(backend->device().reserve(static_cast<uint64_t>(blocks) *
                                             Transformer::needs(spec, sizes, backend->ops()).kv_block)).value();
    model->attach_kv(kv.span(), blocks);
    for (int64_t s = 0; s < options.batch; ++s) {
      std::vector<int32_t>& table = tables.emplace_back();
      for (int64_t i = 0; i < sizes.blocks_per_sequence(); ++i) {
        table.push_back(static_cast<int32_t>(s * sizes.blocks_per_sequence() + i));
      }
    }
  }

  // One step of `batch` sequences with `count` tokens each from `position`. RETURNS: seconds.
  double step(int batch, int count, int position) {
    std::vector<int32_t> tokens, positions, rows, samples;
    std::vector<std::span<const int32_t>> views;
    for (int s = 0; s < batch; ++s) {
      for (int i = 0; i < count; ++i) {
        tokens.push_back((s * 7919 + i * 104729 + position) % static_cast<int>(spec.vocab));
        positions.push_back(position + i);
        rows.push_back(s);
      }
      samples.push_back(static_cast<int32_t>(tokens.size()) - 1);
      views.push_back(tables[static_cast<size_t>(s)]);
    }
    const auto begin = SteadyTime::now();
    const auto logits = model->forward({.tokens = tokens, .positions = positions, .rows = rows, .block_tables = views,
                                        .sample_rows = samples});
    if (!logits.ok()) std::exit(1);
    return seconds_since(begin);
  }

  double median_step(int batch, int count, int position) {
    std::vector<double> times;
    step(batch, count, position);
    for (int i = 0; i < options.rounds; ++i) times.push_back(step(batch, count, position));
    std::nth_element(times.begin(), times.begin() + options.rounds / 2, times.end());
    return times[static_cast<size_t>(options.rounds / 2)];
  }

  uint64_t streamed_bytes() const {
    const Ops& ops = backend->ops();
    const auto bytes = [&](int64_t n, int64_t k) { return ops.packed_bytes(options.format, n, k); };
    const uint64_t layer = bytes(spec.q_width() + 2 * spec.kv_width(), spec.hidden) + bytes(spec.hidden, spec.q_width()) +
                           bytes(swiglu_rows(spec.ffn), spec.hidden) + bytes(spec.hidden, spec.ffn);
    return static_cast<uint64_t>(spec.layers) * layer + bytes(spec.vocab, spec.hidden);
  }
};

void print_tables(Bench* bench) {
  const double before = read_bandwidth(bench->backend->threads());
  const double weights = static_cast<double>(bench->streamed_bytes());
  std::printf("%s, %s weights, %s KV, %.0f MB of weights streamed per step, context %d\n",
              std::string(bench->backend->description()).c_str(),
              std::string(weight_format_name(bench->options.format)).c_str(),
              std::string(kv_format_name(bench->options.kv)).c_str(), weights / 1e6, bench->options.context);
  std::printf("\n%-8s %10s %12s %10s %12s %14s\n", "batch", "ms/step", "tokens/s", "x batch 1", "weight GB/s", "of bandwidth");
  double first = 0, rate1 = 0;
  for (const int batch : {1, 2, 4, 8, 16, 32, 64}) {
    if (batch > bench->options.batch) break;
    const double seconds = bench->median_step(batch, 1, bench->options.context);
    if (batch == 1) first = 1 / seconds, rate1 = weights / seconds;
    std::printf("%-8d %10.2f %12.1f %10.2f %12.2f %13.0f%%\n", batch, 1e3 * seconds, batch / seconds,
                batch / seconds / first, weights / seconds / 1e9, 100 * weights / seconds / before);
  }
  std::printf("\n%-8s %10s %12s\n", "prefill", "ms", "tokens/s");
  for (const int tokens : {128, 512}) {
    const double seconds = bench->median_step(1, tokens, 0);
    std::printf("%-8d %10.1f %12.1f\n", tokens, 1e3 * seconds, tokens / seconds);
  }
  const double after = read_bandwidth(bench->backend->threads());
  std::printf("\nread bandwidth %.1f GB/s before, %.1f GB/s after; batch 1 moves %.0f%% of their mean\n", before / 1e9,
              after / 1e9, 100 * rate1 / ((before + after) / 2));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Rounds of one step each, in turn; the ratio is the median of the rounds' own ratios.
void compare_kv(const Options& options, const std::string& dir, Backend* backend) {
  std::vector<std::unique_ptr<Bench>> benches;
  for (const KvFormat kv : {KvFormat::kBF16, KvFormat::kInt8, KvFormat::kInt4}) {
    benches.push_back(std::make_unique<Bench>(Bench{.options = options, .backend = backend}));
    benches.back()->options.kv = kv;
    benches.back()->load(dir);
  }
  std::printf("%s, context %d, %d rounds in turn\n\n%-8s %-8s %12s %12s %14s\n",
              std::string(backend->description()).c_str(), options.context, options.rounds, "batch", "KV",
              "ms, median", "ms, least", "time / bf16");
  for (const int batch : {1, 8}) {
    if (batch > options.batch) break;
    std::vector<std::vector<double>> ms(benches.size()), ratios(benches.size());
    for (int round = -1; round < options.rounds; ++round) {  // the first warms up
      std::vector<double> now;
      for (const auto& bench : benches) now.push_back(1e3 * bench->step(batch, 1, options.context));
      for (size_t i = 0; round >= 0 && i < now.size(); ++i) {
        ms[i].push_back(now[i]);
        ratios[i].push_back(now[i] / now[0]);
      }
    }
    for (size_t i = 0; i < benches.size(); ++i) {
      std::printf("%-8d %-8s %12.2f %12.2f %14.3f\n", batch, std::string(kv_format_name(benches[i]->options.kv)).c_str(),
                  median(ms[i]), *std::min_element(ms[i].begin(), ms[i].end()), median(ratios[i]));
    }
  }
}

int run(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--format") {
      options.format = value == "f32" ? WeightFormat::kF32 : value == "bf16" ? WeightFormat::kBF16 : WeightFormat::kInt8G32;
    } else if (flag == "--kv") {
      options.kv = value == "f32"    ? KvFormat::kF32
                   : value == "int8" ? KvFormat::kInt8
                   : value == "int4" ? KvFormat::kInt4
                                     : KvFormat::kBF16;
    } else if (flag == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else if (flag == "--context") {
      options.context = std::clamp(std::atoi(value.c_str()), 1, 16384);
    } else if (flag == "--batch") {
      options.batch = std::clamp(std::atoi(value.c_str()), 1, 64);
    } else if (flag == "--rounds") {
      options.rounds = std::clamp(std::atoi(value.c_str()), 1, 1000);
    } else if (flag == "--compare-kv") {
      options.compare_kv = value != "0";
    } else {
      std::fprintf(stderr, "bench_model: unknown flag %s\n", flag.c_str());
      return 2;
    }
  }
  const std::string dir = (std::filesystem::temp_directory_path() / ("weir-bench-" + std::to_string(getpid()))).string();
  std::fprintf(stderr, "writing random weights to %s\n", dir.c_str());
  const Status written = testing::write_random_checkpoint(dir, testing::kQwenHalfBillionConfig);
  if (!written.ok()) {
    std::fprintf(stderr, "bench_model: %s\n", written.message().c_str());
    return 1;
  }
  const auto backend =
      std::move(make_backend("cpu", {.threads = options.threads, .isa = "", .pin = true})).value();
  backend->bind_calling_thread();
  if (options.compare_kv) {
    compare_kv(options, dir, backend.get());
    std::filesystem::remove_all(dir);
    return 0;
  }
  Bench bench{.options = options, .backend = backend.get()};
  bench.load(dir);
  std::filesystem::remove_all(dir);
  print_tables(&bench);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
