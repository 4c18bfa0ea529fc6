#include "support/machine.h"

#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "kernels/cpu/isa.h"
#include "device/host/cpu_topology.h"
#include "support/mixes.h"
#include "tensor/parse_dtype.h"

namespace weir::bench {
namespace {

constexpr size_t kReadBytes = size_t{512} << 20;  // beyond any cache

// Four lines a turn, folded with wide loads where the compiler knows them. A plain 64-bit loop reads 20-40 % less
// and would flatter the kernels.
using Wide = uint64_t __attribute__((vector_size(32)));
__attribute__((always_inline)) inline uint64_t fold_body(const char* data, size_t bytes) {
  Wide sum[4] = {};
  const auto* wide = reinterpret_cast<const Wide*>(data);
  for (size_t i = 0; i < bytes / sizeof(Wide); i += 8) {
    for (size_t line = 0; line < 4; ++line) {
      __builtin_prefetch(reinterpret_cast<const char*>(wide + i + line * 2) + 2048);
    }
    for (size_t j = 0; j < 8; ++j) sum[j % 4] ^= wide[i + j];
  }
  sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
  return sum[0][0] ^ sum[0][1] ^ sum[0][2] ^ sum[0][3];
}
#if defined(__x86_64__)
__attribute__((target("avx2"), noinline)) uint64_t fold_avx2(const char* data, size_t bytes) {
  return fold_body(data, bytes);
}
#endif
__attribute__((noinline)) uint64_t fold_plain(const char* data, size_t bytes) { return fold_body(data, bytes); }

bool cpu_can(std::string_view isa) {
  const auto tables = cpu::usable_tables();
  return std::any_of(tables.begin(), tables.end(), [&](const auto* table) { return isa == table->isa; });
}

std::vector<Mix> mixes_of(std::string_view isa) {
  std::vector<Mix> mixes;
  for (const auto list : {avx2_mixes, avx512_mixes, avx512vnni_mixes}) {
    int count = 0;
    const Mix* all = list(&count);
    for (int i = 0; i < count; ++i) {
      if ((isa.empty() || isa == all[i].isa) && cpu_can(all[i].isa)) mixes.push_back(all[i]);
    }
  }
  return mixes;
}

double rate(const Mix& mix, int threads) {
  constexpr double kOps = 2e9;  // a thread and round: 5 to 30 ms
  const auto steps = static_cast<int64_t>(kOps / mix.ops_per_step);
  const double seconds = best_seconds(threads, 15, [&](int) { mix.run(steps); });
  return static_cast<double>(steps) * mix.ops_per_step * threads / seconds;
}

}  // namespace

double now_seconds(bool cpu_time) {
  timespec now{};
  ::clock_gettime(cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Before main(): whoever binds its thread later passes its one CPU on to the threads that it makes.
const std::vector<int> g_cpus = process_cpus();

// Keeps the calling thread on the CPU of its turn while it lives.
class OnCpu {
 public:
  explicit OnCpu(int turn) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(g_cpus[static_cast<size_t>(turn) % g_cpus.size()], &own);
    sched_setaffinity(0, sizeof own, &own);
  }
  ~OnCpu() { sched_setaffinity(0, sizeof before_, &before_); }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;

 private:
  cpu_set_t before_{};
};

double best_seconds(int threads, int rounds, const std::function<void(int)>& work) {
  const bool alone = threads == 1;
  const OnCpu first(0);
  std::barrier gate(threads);
  std::vector<std::thread> helpers;
  for (int t = 1; t < threads; ++t) {
    helpers.emplace_back([&, t] {
      const OnCpu own(t);
      for (int round = -1; round < rounds; ++round) {
        gate.arrive_and_wait();
        work(t);
        gate.arrive_and_wait();
      }
    });
  }
  std::vector<double> seconds;
  for (int round = -1; round < rounds; ++round) {  // the first warms up
    gate.arrive_and_wait();
    const double begin = now_seconds(alone);
    work(0);
    gate.arrive_and_wait();
    if (round >= 0) seconds.push_back(now_seconds(alone) - begin);
  }
  for (std::thread& helper : helpers) helper.join();
  return *std::min_element(seconds.begin(), seconds.end());
}

ReadMeter::ReadMeter()
    : memory_(::mmap(nullptr, kReadBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
  if (memory_ == MAP_FAILED) {
    std::fprintf(stderr, "no room for %zu MiB to read\n", kReadBytes >> 20);
    std::exit(1);
  }
  ::madvise(memory_, kReadBytes, MADV_HUGEPAGE);
  std::memset(memory_, 1, kReadBytes);
}

ReadMeter::~ReadMeter() { ::munmap(memory_, kReadBytes); }

double ReadMeter::bytes_per_second(int threads, int rounds) const {
#if defined(__x86_64__)
  const auto fold = cpu_can("avx2") ? fold_avx2 : fold_plain;
#else
  const auto fold = fold_plain;
#endif
  constexpr size_t kPiece = 256 << 10;
  std::atomic<uint64_t> sink{0};
  const size_t pieces = kReadBytes / kPiece;
  // Pieces in turn, as the pool deals panels: nobody finishes early because the neighbour slows one core down.
  const auto team = static_cast<size_t>(threads);
  const double seconds = best_seconds(threads, rounds, [&](int t) {
    uint64_t sum = 0;
    for (auto piece = static_cast<size_t>(t); piece < pieces; piece += team) {
      sum ^= fold(static_cast<const char*>(memory_) + piece * kPiece, kPiece);
    }
    sink.fetch_xor(sum, std::memory_order_relaxed);
  });
  return static_cast<double>(kReadBytes) / seconds;
}

double Machine::fma_peak(std::string_view isa) const {
  for (const Peak& peak : peaks) {
    if (peak.isa == isa && peak.name == "fma f32") return peak.all;
  }
  return 0;
}

double Machine::linear_peak(std::string_view isa, WeightFormat format, bool scaled) const {
  if (is_float(format)) return fma_peak(isa);
  const std::string wanted =
      std::string(weight_format_name(format).substr(0, 4)) + (scaled ? " scaled" : "");  // "int8", "int4..."
  for (const Peak& peak : peaks) {
    if (peak.isa == isa && peak.name == wanted) return peak.all;
  }
  return 0;
}

Machine measure_machine(int threads, std::string_view isa) {
  Machine machine{.threads = threads};
  {
    const ReadMeter meter;
    machine.read_one = meter.bytes_per_second(1);
    machine.read_all =
        threads == 1 ? machine.read_one : std::max(machine.read_one, meter.bytes_per_second(threads));
  }
  for (const Mix& mix : mixes_of(isa)) {
    const double one = rate(mix, 1);
    machine.peaks.push_back(
        {mix.isa, mix.name, mix.instructions, one, threads == 1 ? one : std::max(one, rate(mix, threads))});
  }
  return machine;
}

void print(const Machine& machine) {
  std::printf("read bandwidth: %.1f GB/s on 1 thread, %.1f GB/s on %d\n", machine.read_one / 1e9,
              machine.read_all / 1e9, machine.threads);
  std::printf("%-11s %-12s %12s %12s   %s\n", "peak of", "mix", "Gop/s x 1",
              ("Gop/s x " + std::to_string(machine.threads)).c_str(), "instructions");
  for (const Peak& peak : machine.peaks) {
    std::printf("%-11s %-12s %12.0f %12.0f   %s\n", peak.isa.c_str(), peak.name.c_str(), peak.one / 1e9,
                peak.all / 1e9, peak.instructions.c_str());
  }
}

std::string isa_of(std::string_view description) {
  const size_t begin = description.find(' ') + 1;
  return std::string(description.substr(begin, description.find(',') - begin));
}

std::vector<WeightFormat> all_weight_formats() {
  std::vector<WeightFormat> formats;
  for (int i = 0; i < kWeightFormats; ++i) formats.push_back(static_cast<WeightFormat>(i));
  return formats;
}

bool is_float(WeightFormat format) {
  return format == WeightFormat::kF32 || format == WeightFormat::kBF16 || format == WeightFormat::kF16;
}

}  // namespace weir::bench
