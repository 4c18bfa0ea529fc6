// Kernel benchmark: prints the machine's peaks, then GB/s of weights and Gop/s (2 per multiply-add) of Ops::linear
// for each instruction set, format, shape and row count; then attention over each KV format, a whole model's layers
// in turn, so that a decode finds its KV where a model would, beyond the caches. Medians of interleaved rounds,
// because clocks float: judge by the columns relative to the peaks of the same run.
//
//   bench_kernels [--isa=NAME] [--format=NAME] [--threads=N] [--rounds=N] [--quick] [--attention]
//
// --threads=1 measures CPU time instead of wall time.

#include <fmt/core.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "device/host/host_device.h"
#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/worker_pool.h"

namespace weir {
namespace {

struct Settings {
  std::string isa;
  std::string format;  // one weight format alone
  int threads = 0;
  int rounds = 7;
  bool quick = false;
  bool attention = false;  // nothing else
};

// With one thread: its own CPU time, so that other processes on the machine disturb less. Else the wall clock.
bool g_cpu_time = false;
double now_s() {
  timespec now;
  clock_gettime(g_cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Region must_reserve(Device& device, uint64_t bytes) {
  auto region = device.reserve(bytes);
  if (!region.ok()) {
    fmt::print(stderr, "{}\n", region.status().message());
    std::exit(1);
  }
  return std::move(region).value();
}

// Reads memory as fast as one core can: every line prefetched 2 KiB ahead, as the kernels do, and folded with wide
// loads where the compiler knows them. A plain 64-bit loop reads 20-40 % less and would flatter the kernels.
using Wide = uint64_t __attribute__((vector_size(32)));
#if defined(__x86_64__)
__attribute__((target("avx2"), noinline))
#else
__attribute__((noinline))
#endif
uint64_t
read_all(const uint64_t* data, int64_t words) {
  Wide sum[4] = {};
  const auto* wide = reinterpret_cast<const Wide*>(data);
  for (int64_t i = 0; i < words / 4; i += 8) {
    for (int line = 0; line < 4; ++line)
      __builtin_prefetch(reinterpret_cast<const char*>(wide + i + line * 2) + 2048);
    for (int j = 0; j < 8; ++j) sum[j % 4] ^= wide[i + j];
  }
  sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
  return sum[0][0] ^ sum[0][1] ^ sum[0][2] ^ sum[0][3];
}

double read_gbs(cpu::WorkerPool& pool, const uint64_t* data, int64_t words, int rounds) {
  std::vector<double> results;
  std::atomic<uint64_t> sink{0};
  constexpr int64_t kBlock = 32 * 1024;  // words of a chunk
  for (int round = 0; round < rounds; ++round) {
    const double start = now_s();
    pool.parallel_for(words / kBlock, words / kBlock / (pool.threads() * 4), [&](int64_t begin, int64_t end) {
      sink.fetch_add(read_all(data + begin * kBlock, (end - begin) * kBlock), std::memory_order_relaxed);
    });
    results.push_back(static_cast<double>(words) * 8 / (now_s() - start) / 1e9);
  }
  return median(results);
}

// Multiply-adds in registers alone, 16 chains: the ceiling of one core.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"), noinline)) float fma_chains_avx2(int64_t steps) {
  __m256 acc[12];
  for (auto& a : acc) a = _mm256_set1_ps(1.0f);
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) acc[j] = _mm256_fmadd_ps(acc[j], x, y);
  }
  for (int j = 1; j < 12; ++j) acc[0] = _mm256_add_ps(acc[0], acc[j]);
  return _mm256_cvtss_f32(acc[0]);
}
__attribute__((target("avx512f"), noinline)) float fma_chains_avx512(int64_t steps) {
  __m512 acc[12];
  for (auto& a : acc) a = _mm512_set1_ps(1.0f);
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) acc[j] = _mm512_fmadd_ps(acc[j], x, y);
  }
  for (int j = 1; j < 12; ++j) acc[0] = _mm512_add_ps(acc[0], acc[j]);
  return _mm512_cvtss_f32(acc[0]);
}
void print_fma_peak(const char* name, int lanes, float (*chains)(int64_t)) {
  constexpr int64_t kSteps = 2'000'000;
  std::vector<double> results;
  volatile float sink = chains(1000);
  for (int round = 0; round < 7; ++round) {
    const double start = now_s();
    sink = chains(kSteps);
    results.push_back(2.0 * 12 * lanes * kSteps / (now_s() - start) / 1e9);
  }
  (void)sink;
  fmt::print("f32 multiply-add peak of one core, {}: {:.1f} GFLOP/s\n", name, median(results));
}
void print_fma_peaks() {
  if (__builtin_cpu_supports("fma")) print_fma_peak("avx2", 8, fma_chains_avx2);
  if (__builtin_cpu_supports("avx512f")) print_fma_peak("avx512", 16, fma_chains_avx512);
}
#else
void print_fma_peaks() {}
#endif

// One linear on `copies` copies of the weight in turn, so that each call finds it in DRAM, as a whole model would.
struct LinearCase {
  const char* name;
  int64_t n, k;
};

double linear_seconds(Backend& backend, Stream& stream, const LinearArgs& base, DeviceSpan weights, uint64_t bytes,
                      int rounds) {
  const int copies = static_cast<int>(weights.bytes / bytes);
  PackedWeight weight = *base.weight;
  LinearArgs args = base;
  args.weight = &weight;
  std::vector<double> results;
  for (int round = -1; round < rounds; ++round) {
    const double start = now_s();
    for (int i = 0; i < copies; ++i) {
      weight.data = weights.part(static_cast<uint64_t>(i) * bytes, bytes);
      backend.ops().linear(stream, args);
    }
    if (round >= 0) results.push_back((now_s() - start) / copies);
  }
  return median(results);
}

void bench_linear(Backend& backend, Stream& stream, const LinearCase& shape, WeightFormat format,
                  const Settings& settings, double read_peak) {
  Ops& ops = backend.ops();
  const uint64_t bytes = ops.packed_bytes(format, shape.n, shape.k);
  const uint64_t copies = std::max<uint64_t>(1, (uint64_t{192} << 20) / bytes);  // beyond any L3 slice
  Region weights = must_reserve(backend.device(), bytes * copies);
  std::vector<float> row(static_cast<size_t>(shape.k));
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(static_cast<int>(i * 37 % 61) - 30) * 0.01f;
  PackedWeight weight{format, shape.n, shape.k, weights.span().part(0, bytes)};
  for (int64_t r = 0; r < shape.n; ++r) ops.pack_rows(stream, {row.data(), DType::kF32, r, 1, weight});
  for (uint64_t i = 1; i < copies; ++i) {
    backend.device().copy_within(stream, weights.span().data.plus(i * bytes), weights.span().data, bytes);
  }
  double one_row = 0;
  for (int64_t rows : {1, 2, 4, 8, 12, 16, 64, 256}) {
    if (settings.quick && rows > 16) break;
    if (shape.n > 100000 && rows > 16) break;  // only rows that sample reach the lm_head
    Region x = must_reserve(backend.device(), static_cast<uint64_t>(rows * shape.k) * 4);
    Region out = must_reserve(backend.device(), static_cast<uint64_t>(rows * shape.n) * 4);
    Region scratch = must_reserve(backend.device(), ops.linear_workspace_bytes(rows, shape.k));
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(host_ptr<float>(x.span().data) + r * shape.k, row.data(), row.size() * 4);
    }
    const LinearArgs args{.x = mat_view<const float>(x.span(), rows, shape.k),
                          .weight = &weight,
                          .out = mat_view<float>(out.span(), rows, shape.n),
                          .workspace = scratch.span()};
    const int rounds = rows > 16 ? std::min(3, settings.rounds) : settings.rounds;
    const double seconds = linear_seconds(backend, stream, args, weights.span(), bytes, rounds);
    if (rows == 1) one_row = seconds;
    const double gbs = static_cast<double>(bytes) / seconds / 1e9;
    fmt::print(
        "{:<10} {:<5} {:<26} {:>4} rows {:>9.1f} us {:>7.1f} GB/s {:>4.0f}% of read {:>8.1f} Gop/s {:>6.2f}x "
        "rows/s of 1 row\n",
        backend.description().substr(4, backend.description().find(',') - 4), weight_format_name(format),
        fmt::format("{} {}x{}", shape.name, shape.n, shape.k), rows, seconds * 1e6, gbs, 100 * gbs / read_peak,
        2.0 * static_cast<double>(rows * shape.n * shape.k) / seconds / 1e9,
        one_row * static_cast<double>(rows) / seconds);
  }
}

struct AttentionCase {
  const char* model;
  int64_t layers, heads, kv_heads, head_dim;
  int64_t sequences, rows_each, context;
};

void bench_attention(Backend& backend, Stream& stream, KvFormat format, const AttentionCase& shape,
                     const Settings& settings) {
  const auto& [model, layers, heads, kv_heads, head_dim, sequences, rows_each, context] = shape;
  constexpr int64_t kBlockTokens = 64;
  const KvGeometry geometry{format, layers, kv_heads, head_dim, kBlockTokens};
  const int64_t width = heads * head_dim;
  const int64_t per_sequence = context / kBlockTokens, blocks = sequences * per_sequence,
                tokens = sequences * rows_each;
  Region pool = must_reserve(backend.device(), static_cast<uint64_t>(blocks) * geometry.block_bytes());
  Region q = must_reserve(backend.device(), static_cast<uint64_t>(tokens * width) * 8);
  Region index = must_reserve(backend.device(), static_cast<uint64_t>(blocks + 2 * tokens) * 4);
  auto* ids = host_ptr<int32_t>(index.span().data);
  for (int64_t b = 0; b < blocks; ++b) ids[b] = static_cast<int32_t>((b * 7919) % blocks);
  for (int64_t t = 0; t < tokens; ++t) {
    ids[blocks + t] = static_cast<int32_t>(t / rows_each);
    ids[blocks + tokens + t] = static_cast<int32_t>(context - rows_each + t % rows_each);
  }
  const DeviceSpan half = q.span().part(0, q.span().bytes / 2);
  AttentionArgs args{.q = mat_view<const float>(half, tokens, width),
                     .cache = geometry.layer(pool.span(), blocks, 0),
                     .block_tables = {index.span().data, sequences, per_sequence, per_sequence},
                     .sequences = {index.span().data.plus(static_cast<uint64_t>(blocks) * 4), tokens},
                     .positions = {index.span().data.plus(static_cast<uint64_t>(blocks + tokens) * 4), tokens},
                     .heads = heads,
                     .scale = 0.125f,
                     .out = mat_view<float>(q.span().part(half.bytes, half.bytes), tokens, width)};
  std::vector<double> results;
  for (int round = -1; round < settings.rounds; ++round) {
    const double start = now_s();
    for (int64_t layer = 0; layer < layers; ++layer) {
      args.cache = geometry.layer(pool.span(), blocks, layer);
      backend.ops().attention(stream, args);
    }
    if (round >= 0) results.push_back((now_s() - start) / static_cast<double>(layers));
  }
  const double seconds = median(results);
  const double seen = static_cast<double>(context) - static_cast<double>(rows_each - 1) / 2;
  fmt::print(
      "{:<10} {:<5} attention {:<22} {:>2} sequences x {:>3} rows, context {:>5}: {:>9.1f} us a layer "
      "{:>7.1f} GB/s of KV {:>7.1f} Gop/s\n",
      backend.description().substr(4, backend.description().find(',') - 4), kv_format_name(format),
      fmt::format("{} {}/{}x{}", model, heads, kv_heads, head_dim), sequences, rows_each, context, seconds * 1e6,
      static_cast<double>(static_cast<uint64_t>(blocks) * geometry.layer_bytes()) / seconds / 1e9,
      4.0 * seen * static_cast<double>(tokens * width) / seconds / 1e9);
}

int run(const Settings& settings) {
  const int cpus = static_cast<int>(cpu::allowed_cpus().size());
  const int threads = settings.threads > 0 ? settings.threads : cpus;
  g_cpu_time = threads == 1;
  print_fma_peaks();
  HostDevice device;
  Region memory = must_reserve(device, uint64_t{512} << 20);
  const auto* words = host_ptr<const uint64_t>(memory.span().data);
  cpu::WorkerPool one({.threads = 1}), all({.threads = threads});
  const double read_one = read_gbs(one, words, (512 << 20) / 8, 9);
  const double read_peak = read_gbs(all, words, (512 << 20) / 8, 9);
  fmt::print("read bandwidth: {:.1f} GB/s on 1 thread, {:.1f} GB/s on {}\n", read_one, read_peak, threads);
  memory = Region();
  const LinearCase shapes[] = {{"square", 2048, 2048},
                               {"qkv", 1152, 896},
                               {"gate_up", 9728, 896},
                               {"down", 896, 4864},
                               {"lm_head", 151936, 896}};
  for (const cpu::KernelTable* table : cpu::usable_tables()) {
    const bool wanted =
        settings.isa.empty() ? std::string_view(table->isa) != "scalar" : settings.isa == table->isa;
    if (!wanted) continue;
    auto backend = make_backend("cpu", {.threads = threads, .isa = table->isa});
    if (!backend.ok()) {
      fmt::print(stderr, "{}\n", backend.status().message());
      return 1;
    }
    (*backend)->bind_calling_thread();
    auto stream = (*backend)->device().make_stream();
    for (WeightFormat format :
         {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kF16, WeightFormat::kInt8G32, WeightFormat::kInt4G32,
          WeightFormat::kInt4G64, WeightFormat::kInt4ZG32, WeightFormat::kInt4ZG64}) {
      if (settings.attention || (!settings.format.empty() && settings.format != weight_format_name(format)))
        continue;
      if (settings.quick && (format == WeightFormat::kF16 || format == WeightFormat::kF32)) continue;
      for (const LinearCase& shape : shapes) {
        bench_linear(**backend, **stream, shape, format, settings, threads == 1 ? read_one : read_peak);
      }
    }
    const AttentionCase cases[] = {
        {"Qwen2.5-0.5B", 24, 14, 2, 64, 1, 1, 4096}, {"Qwen2.5-0.5B", 24, 14, 2, 64, 16, 1, 1024},
        {"Qwen2.5-0.5B", 4, 14, 2, 64, 1, 256, 512}, {"TinyLlama", 22, 32, 4, 64, 1, 1, 4096},
        {"Qwen2.5-3B", 36, 16, 2, 128, 1, 1, 4096},  {"one head each", 12, 12, 12, 64, 1, 1, 4096}};
    for (const AttentionCase& shape : cases) {
      for (KvFormat kv : {KvFormat::kF32, KvFormat::kBF16, KvFormat::kInt8, KvFormat::kInt4}) {
        bench_attention(**backend, **stream, kv, shape, settings);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg.starts_with("--isa="))
      settings.isa = arg.substr(6);
    else if (arg.starts_with("--format="))
      settings.format = arg.substr(9);
    else if (arg.starts_with("--threads="))
      settings.threads = std::atoi(argv[i] + 10);
    else if (arg.starts_with("--rounds="))
      settings.rounds = std::max(1, std::atoi(argv[i] + 9));
    else if (arg == "--quick")
      settings.quick = true;
    else if (arg == "--attention")
      settings.attention = true;
    else {
      fmt::print(stderr,
                 "usage: bench_kernels [--isa=NAME] [--format=NAME] [--threads=N] [--rounds=N] [--quick] "
                 "[--attention]\n");
      return 2;
    }
  }
  return weir::run(settings);
}
