// Kernel benchmark: prints the machine's peaks, then GB/s of weights and Gop/s (2 per multiply-add) of Ops::linear
// for each instruction set, format, shape and row count; then attention over each KV format, a whole model's layers
// in turn, so that a decode finds its KV where a model would, beyond the caches. Medians.
//
//   bench_kernels [--isa=NAME] [--format=NAME] [--threads=N] [--rounds=N] [--quick] [--peaks]
//                 [--attention [--shape=NAME]]
//
// Floors, of the same run (support/machine.h): "of read" is GB/s over the read bandwidth, and bounds few rows; "of
// peak" is Gop/s over the multiply-and-accumulate instructions alone; "of mix" over those with the work that scales
// per group of 32 need. --threads=1 measures CPU time instead of wall time. --quick: gate_up of bf16 and the
// integer formats, no attention.

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "device/host/cpu_topology.h"
#include "device/host/host_device.h"
#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/worker_pool.h"
#include "support/machine.h"

namespace weir {
namespace {

struct Settings {
  std::string isa;
  std::string format;  // one weight format alone; with --attention, one KV format
  std::string shape;   // with --attention: only shapes whose name contains it
  int threads = 0;
  int rounds = 7;
  bool quick = false;
  bool attention = false;  // nothing else
  bool peaks = false;      // only what the machine can do
};

// With one thread its own CPU time, so that other processes on the machine disturb less. Else the wall clock.
bool g_cpu_time = false;
double now_s() { return bench::now_seconds(g_cpu_time); }
using bench::median;

Region must_reserve(Device& device, uint64_t bytes) {
  auto region = device.reserve(bytes);
  if (!region.ok()) {
    fmt::print(stderr, "{}\n", region.status().message());
    std::exit(1);
  }
  return std::move(region).value();
}

// One linear on `copies` copies of the weight in turn, so that each call finds it in DRAM, as a whole model would.
struct LinearCase {
  const char* name;
  int64_t n, k;
};

double linear_seconds(Backend& backend, Stream& stream, const LinearArgs& base, DeviceSpan weights, uint64_t bytes,
                      int rounds) {
  // Many rows are bound by arithmetic: 64 MiB beyond the caches will do, and the table ends today.
  const uint64_t enough = base.x.rows > 16 ? std::max<uint64_t>(1, (uint64_t{64} << 20) / bytes) : UINT64_MAX;
  const int copies = static_cast<int>(std::min(weights.bytes / bytes, enough));
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

// The same rows in every copy: what is in a weight decides nothing here, where it lies does.
Region pack_copies(Backend& backend, Stream& stream, const LinearCase& shape, WeightFormat format,
                   std::span<const float> row) {
  Ops& ops = backend.ops();
  const uint64_t bytes = ops.packed_bytes(format, shape.n, shape.k);
  const uint64_t copies = std::max<uint64_t>(1, (uint64_t{192} << 20) / bytes);  // beyond any L3 slice
  Region weights = must_reserve(backend.device(), bytes * copies);
  PackedWeight weight{format, shape.n, shape.k, weights.span().part(0, bytes)};
  for (int64_t r = 0; r < shape.n; ++r) ops.pack_rows(stream, {row.data(), DType::kF32, r, 1, weight});
  for (uint64_t i = 1; i < copies; ++i) {
    backend.device().copy_within(stream, weights.span().data.plus(i * bytes), weights.span().data, bytes);
  }
  return weights;
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f}%", 100 * part / whole) : "-";
}

void bench_linear(Backend& backend, Stream& stream, const LinearCase& shape, WeightFormat format,
                  const Settings& settings, const bench::Machine& machine) {
  Ops& ops = backend.ops();
  const std::string isa = bench::isa_of(backend.description());
  std::vector<float> row(static_cast<size_t>(shape.k));
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(static_cast<int>(i * 37 % 61) - 30) * 0.01f;
  const uint64_t bytes = ops.packed_bytes(format, shape.n, shape.k);
  const Region weights = pack_copies(backend, stream, shape, format, row);
  const PackedWeight weight{format, shape.n, shape.k, weights.span().part(0, bytes)};
  for (const int64_t rows : {1, 4, 8, 16, 32, 64, 512}) {
    if (shape.n > 100000 && rows > 64) break;  // only rows that sample reach the lm_head
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
    const double read = static_cast<double>(bytes) / seconds;
    const double ops_rate = 2.0 * static_cast<double>(rows * shape.n * shape.k) / seconds;
    fmt::print("{:<10} {:<9} {:<8} {:>6}x{:<5} {:>4} {:>10.1f} {:>7.1f} {:>7} {:>8.1f} {:>8} {:>8}\n", isa,
               weight_format_name(format), shape.name, shape.n, shape.k, rows, seconds * 1e6, read / 1e9,
               percent(read, machine.read_all), ops_rate / 1e9,
               percent(ops_rate, machine.linear_peak(isa, format, false)),
               percent(ops_rate, machine.linear_peak(isa, format, true)));
    std::fflush(stdout);
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
  Region scratch = must_reserve(
      backend.device(), backend.ops().attention_workspace_bytes(tokens, heads, kv_heads, head_dim, context));
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
                     .out = mat_view<float>(q.span().part(half.bytes, half.bytes), tokens, width),
                     .workspace = scratch.span()};
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

bool wanted(const Settings& settings, WeightFormat format) {
  if (!settings.format.empty()) return settings.format == weight_format_name(format);
  return !settings.quick || (format != WeightFormat::kF16 && format != WeightFormat::kF32);
}

void bench_linears(Backend& backend, Stream& stream, const Settings& settings, const bench::Machine& machine) {
  const LinearCase shapes[] = {{"gate_up", 9728, 896},
                               {"down", 896, 4864},
                               {"square", 2048, 2048},
                               {"qkv", 1152, 896},
                               {"lm_head", 151936, 896}};
  fmt::print("{:<10} {:<9} {:<8} {:>12} {:>4} {:>10} {:>7} {:>7} {:>8} {:>8} {:>8}\n", "isa", "weights", "shape",
             "n x k", "rows", "us", "GB/s", "of read", "Gop/s", "of peak", "of mix");
  for (const WeightFormat format : bench::all_weight_formats()) {
    if (!wanted(settings, format)) continue;
    for (const LinearCase& shape : shapes) {
      bench_linear(backend, stream, shape, format, settings, machine);
      if (settings.quick) break;
    }
  }
}

void bench_attentions(Backend& backend, Stream& stream, const Settings& settings) {
  const AttentionCase cases[] = {
      {"Qwen2.5-0.5B", 24, 14, 2, 64, 1, 1, 4096},      {"Qwen2.5-0.5B", 24, 14, 2, 64, 16, 1, 1024},
      {"prompt, 0.5B", 4, 14, 2, 64, 1, 512, 512},      {"prompt, 0.5B", 2, 14, 2, 64, 1, 512, 2048},
      {"prompt, 3B", 2, 16, 2, 128, 1, 512, 512},       {"prompt, 3B", 1, 16, 2, 128, 1, 512, 2048},
      {"TinyLlama", 22, 32, 4, 64, 1, 1, 128},          {"TinyLlama", 22, 32, 4, 64, 1, 1, 1024},
      {"prompt, one head", 4, 12, 12, 64, 1, 512, 512}, {"TinyLlama", 22, 32, 4, 64, 1, 1, 4096},
      {"Qwen2.5-3B", 36, 16, 2, 128, 1, 1, 4096},       {"one head each", 12, 12, 12, 64, 1, 1, 4096}};
  for (const AttentionCase& shape : cases) {
    if (std::string_view(shape.model).find(settings.shape) == std::string_view::npos) continue;
    for (KvFormat kv : {KvFormat::kF32, KvFormat::kBF16, KvFormat::kInt8, KvFormat::kInt4}) {
      if (settings.attention && !settings.format.empty() && settings.format != kv_format_name(kv)) continue;
      bench_attention(backend, stream, kv, shape, settings);
    }
  }
}

int run(const Settings& settings) {
  // Asked before this thread is bound to one of them: each backend gets all.
  const std::vector<int> cpus = process_cpus();
  const int threads = settings.threads > 0 ? settings.threads : static_cast<int>(cpus.size());
  g_cpu_time = threads == 1;
  const bench::Machine machine = bench::measure_machine(threads, settings.isa);
  bench::print(machine);
  if (settings.peaks) return 0;
  for (const cpu::KernelTable* table : cpu::usable_tables()) {
    const bool chosen =
        settings.isa.empty() ? std::string_view(table->isa) != "scalar" : settings.isa == table->isa;
    if (!chosen) continue;
    auto backend = make_backend("cpu", {.threads = threads, .isa = table->isa, .cpus = cpus});
    if (!backend.ok()) {
      fmt::print(stderr, "{}\n", backend.status().message());
      return 1;
    }
    (*backend)->bind_calling_thread();
    auto stream = (*backend)->device().make_stream();
    if (!settings.attention) bench_linears(**backend, **stream, settings, machine);
    if (settings.attention || !settings.quick) bench_attentions(**backend, **stream, settings);
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
    else if (arg.starts_with("--shape="))
      settings.shape = arg.substr(8);
    else if (arg == "--quick")
      settings.quick = true;
    else if (arg == "--attention")
      settings.attention = true;
    else if (arg == "--peaks")
      settings.peaks = true;
    else {
      fmt::print(stderr,
                 "usage: bench_kernels [--isa=NAME] [--format=NAME] [--threads=N] [--rounds=N] [--quick] "
                 "[--peaks] [--attention [--shape=NAME]]\n");
      return 2;
    }
  }
  return weir::run(settings);
}
