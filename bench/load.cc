// bench_load: how long a start takes to have its weights, packed from the checkpoint and read from a weight cache, on random
// weights in the shape of Qwen2.5-0.5B; and what either takes in memory beside the plan's line.
//
//   bench_load [--threads N] [--rounds N] [--format f32|bf16|int8] [--small 1] [--session TOKENS]
//
// A round does in turn, each with a model of its own that is gone afterwards:
//   cold    packed, the checkpoint read from the disk (its pages were dropped from the page cache)
//   again   packed, the checkpoint in the page cache
//   write   as again, then the weight cache is written
//   warm    the weight cache, read from the disk: its pages leave the page cache as it is written and read
// wall and CPU seconds are medians of the rounds; ratios are medians of the rounds' own, so that a noise of the machine
// meets both sides. "main" is the part of the CPU time that the loading thread took: no number of cores makes a start
// shorter than that. "cores" is CPU over wall time, which says something on a quiet machine. "beside" is the peak resident
// size above what the process had, less weights, workspace and logits: at most the plan's line "loading".
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.h"
#include "model/transformer.h"
#include "support/random_checkpoint.h"
#include "tensor/parse_dtype.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

struct Options {
  int threads = 0;
  int rounds = 3;
  int64_t session = 4096;
  std::vector<WeightFormat> formats = {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kInt8G32,
                                       WeightFormat::kInt4G32};
  bool small = false;
};

struct Cost {
  double wall = 0, cpu = 0, main = 0;
  uint64_t beside = 0;
};

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec); };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double wall_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

uint64_t own_bytes(const std::string& field) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1)) * 1024;
  }
  return 0;
}

void drop_page_cache(const fs::path& file) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  fdatasync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

void read_through(const fs::path& file) {
  std::vector<char> piece(4 << 20);
  std::ifstream in(file, std::ios::binary);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
  }
}

Cost load_once(const std::string& dir, const ModelOptions& sizes, Backend* backend, const std::string& cache) {
  const ModelSpec spec = load_spec(dir).value();
  const ModelNeeds needs = Transformer::needs(spec, sizes, backend->ops());
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
  const uint64_t before = own_bytes("VmRSS");
  const double wall = wall_seconds(), cpu = cpu_seconds(RUSAGE_SELF), main = cpu_seconds(RUSAGE_THREAD);
  const auto checkpoint = Checkpoint::open(dir).value();
  const auto model = Transformer::load(spec, sizes, *checkpoint, *backend, nullptr, {cache, dir});
  if (!model.ok()) {
    std::fprintf(stderr, "bench_load: %s\n", model.status().message().c_str());
    std::exit(1);
  }
  const uint64_t grown = own_bytes("VmHWM") - before, regions = needs.weights + needs.workspace + needs.logits;
  return {wall_seconds() - wall, cpu_seconds(RUSAGE_SELF) - cpu, cpu_seconds(RUSAGE_THREAD) - main, grown > regions ? grown - regions : 0};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print_row(const char* format, const char* what, const std::vector<Cost>& costs, const std::vector<Cost>& warm) {
  std::vector<double> wall, cpu, on_main, ratio_wall, ratio_cpu;
  uint64_t beside = 0;
  for (size_t i = 0; i < costs.size(); ++i) {
    wall.push_back(costs[i].wall);
    cpu.push_back(costs[i].cpu);
    on_main.push_back(costs[i].main);
    ratio_wall.push_back(costs[i].wall / warm[i].wall);
    ratio_cpu.push_back(costs[i].cpu / warm[i].cpu);
    beside = std::max(beside, costs[i].beside);
  }
  std::printf("%-6s %-6s %8.2f %8.2f %8.2f %7.2f %12.2f %12.2f %10.1f\n", format, what, median(wall), median(cpu), median(on_main),
              median(cpu) / median(wall), median(ratio_wall), median(ratio_cpu), static_cast<double>(beside) / (1 << 20));
}

void run_format(const Options& options, WeightFormat format, const fs::path& root, Backend* backend) {
  const std::string dir = root / "model", cache = root / "cache";
  const fs::path weights = root / "model" / "model.safetensors";
  const ModelOptions sizes{.format = format, .session_tokens = options.session, .step_tokens_max = 512, .sequences_max = 8};
  std::vector<Cost> cold, again, write, warm;
  for (int round = 0; round < options.rounds; ++round) {
    fs::remove_all(cache);
    fs::create_directories(cache);
    drop_page_cache(weights);
    cold.push_back(load_once(dir, sizes, backend, ""));
    read_through(weights);
    again.push_back(load_once(dir, sizes, backend, ""));
    write.push_back(load_once(dir, sizes, backend, cache));
    warm.push_back(load_once(dir, sizes, backend, cache));
  }
  const std::string name(weight_format_name(format));
  print_row(name.c_str(), "cold", cold, warm);
  print_row(name.c_str(), "again", again, warm);
  print_row(name.c_str(), "write", write, warm);
  print_row(name.c_str(), "warm", warm, warm);
  std::fflush(stdout);
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--threads") {
      options->threads = std::atoi(value.c_str());
    } else if (flag == "--rounds") {
      options->rounds = std::clamp(std::atoi(value.c_str()), 1, 100);
    } else if (flag == "--session") {
      options->session = std::clamp(std::atoi(value.c_str()), 16, 1 << 20);
    } else if (flag == "--small") {
      options->small = value != "0";
    } else if (flag == "--format") {
      const auto format = parse_weight_format(value);
      if (!format.ok()) {
        std::fprintf(stderr, "bench_load: %s\n", format.status().message().c_str());
        return false;
      }
      options->formats = {*format};
    } else {
      std::fprintf(stderr, "bench_load: unknown flag %s\n", flag.c_str());
      return false;
    }
  }
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) return 2;
  set_log_level(LogLevel::kError);
  const fs::path root = fs::temp_directory_path() / ("weir-bench-load-" + std::to_string(getpid()));
  const Status written = testing::write_random_checkpoint(
      root / "model", options.small ? testing::kSmallConfig : testing::kQwenHalfBillionConfig);
  if (!written.ok()) {
    std::fprintf(stderr, "bench_load: %s\n", written.message().c_str());
    return 1;
  }
  const auto backend = std::move(make_backend("cpu", {.threads = options.threads})).value();
  std::printf("%s, %d rounds, medians; the plan's line for loading is %.0f MiB\n\n%-6s %-6s %8s %8s %8s %7s %12s %12s %10s\n",
              std::string(backend->description()).c_str(), options.rounds, static_cast<double>(kLoadingBytes) / (1 << 20), "format",
              "start", "wall s", "CPU s", "main s", "cores", "wall / warm", "CPU / warm", "beside MiB");
  for (const WeightFormat format : options.formats) run_format(options, format, root, backend.get());
  fs::remove_all(root);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
