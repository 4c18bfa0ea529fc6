// bench_model: decode and prefill of random weights in the shape of a real model, beside what the machine could do
// at best, measured in the same run.
//
//   bench_model [--shape qwen2.5-0.5b|tinyllama-1.1b|qwen2.5-3b|small] [--format NAME[,NAME...]|all] [--kv NAME]
//               [--threads N] [--prefill N,...] [--batch N,...] [--context N,...] [--rounds N] [--cpu-time 1]
//               [--model DIR] [--write DIR] [--json FILE] [--compare-kv 1]
//
// --model: a directory that --write made, instead of writing one for this run. --compare-kv 1: decode steps with
// bf16, int8 and int4 KV in turn at the first context, so that a noise of the machine meets all of them. --cpu-time
// 1: with one thread, processor time instead of wall time; for comparisons on a machine that others share.
//
// Floor of a step: support/model_rig.h. "of floor" is floor / time: 100 % is a machine that does nothing else.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "support/model_rig.h"
#include "support/shapes.h"
#include "tensor/parse_dtype.h"

namespace weir::bench {
namespace {

constexpr double kKvBytesMax = 8e9;  // steps whose KV is larger are left out

struct Options {
  std::string shape = "qwen2.5-0.5b", model, write, json;
  std::vector<WeightFormat> formats;
  KvFormat kv = KvFormat::kBF16;
  int threads = 0, rounds = 5;
  std::vector<int64_t> prefills = {128, 512, 2048}, batches = {1, 2, 4, 8, 16, 32, 64}, contexts = {128, 4096};
  bool compare_kv = false, cpu_time = false;
};

struct Row {
  WeightFormat format;
  double bits_per_weight;
  const char* kind;  // "decode" or "prefill"
  StepShape shape;
  double seconds, floor_seconds;
  double tokens_per_s() const { return static_cast<double>(shape.batch * shape.count) / seconds; }
};

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "bench_model: %s\n", message.c_str());
  std::exit(2);
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> list;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    list.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return list;
}

// "" is an empty list: that table is not wanted.
std::vector<int64_t> numbers(const std::string& flag, const std::string& text, int64_t most) {
  std::vector<int64_t> list;
  if (text.empty()) return list;
  for (const std::string& word : words(text)) {
    char* end = nullptr;
    const long long number = std::strtoll(word.c_str(), &end, 10);
    if (word.empty() || *end != '\0' || number < 1 || number > most) {
      fail(flag + ": '" + word + "' is no number from 1 to " + std::to_string(most));
    }
    list.push_back(number);
  }
  return list;
}

int number(const std::string& flag, const std::string& text, int64_t most) {
  const std::vector<int64_t> list = numbers(flag, text, most);
  if (list.size() != 1) fail(flag + " needs one number");
  return static_cast<int>(list[0]);
}

std::vector<WeightFormat> formats_of(const std::string& text) {
  if (text == "all") return all_weight_formats();
  std::vector<WeightFormat> list;
  for (const std::string& word : words(text)) {
    const auto format = parse_weight_format(word);
    if (!format.ok()) fail("--format: " + std::string(format.status().message()));
    list.push_back(*format);
  }
  return list;
}

KvFormat kv_of(const std::string& text) {
  for (const KvFormat kv : {KvFormat::kF32, KvFormat::kF16, KvFormat::kBF16, KvFormat::kInt8, KvFormat::kInt4}) {
    if (text == kv_format_name(kv)) return kv;
  }
  fail("--kv: '" + text + "' is none of f32, f16, bf16, int8, int4");
}

Options parse(int argc, char** argv) {
  Options options;
  std::string formats = "bf16,int8,int4";
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) fail(flag + " needs a value");
    const std::string value = argv[i + 1];
    if (flag == "--shape")
      options.shape = value;
    else if (flag == "--model")
      options.model = value;
    else if (flag == "--write")
      options.write = value;
    else if (flag == "--json")
      options.json = value;
    else if (flag == "--format")
      formats = value;
    else if (flag == "--kv")
      options.kv = kv_of(value);
    else if (flag == "--threads")
      options.threads = number(flag, value, 1024);
    else if (flag == "--rounds")
      options.rounds = number(flag, value, 1000);
    else if (flag == "--prefill")
      options.prefills = numbers(flag, value, 32768);
    else if (flag == "--batch")
      options.batches = numbers(flag, value, 512);
    else if (flag == "--context")
      options.contexts = numbers(flag, value, 32767);
    else if (flag == "--compare-kv")
      options.compare_kv = value != "0";
    else if (flag == "--cpu-time")
      options.cpu_time = value != "0";
    else
      fail("unknown flag " + flag);
  }
  options.formats = formats_of(formats);
  const auto shape = shape_config(options.shape);
  if (!shape.ok()) fail("--shape: " + std::string(shape.status().message()));
  if (options.compare_kv && (options.batches.empty() || options.contexts.empty())) {
    fail("--compare-kv needs a --batch and a --context");
  }
  return options;
}

// The steps to measure, those that the model's context or the memory for KV does not allow left out and named.
std::vector<Row> rows_of(const Options& options, const ModelSpec& spec) {
  std::vector<Row> rows;
  const auto add = [&](const char* kind, const StepShape& shape) {
    const double kv = static_cast<double>(shape.batch * (shape.position + shape.count) * spec.layers) * 2 *
                      static_cast<double>(spec.kv_width()) * kv_format_bits(options.kv) / 8;
    if (shape.position + shape.count > spec.context_max || kv > kKvBytesMax) {
      std::printf("left out: %s x %lld at %lld (context %lld, KV %.1f GB)\n", kind,
                  static_cast<long long>(shape.batch), static_cast<long long>(shape.position),
                  static_cast<long long>(spec.context_max), kv / 1e9);
      return;
    }
    rows.push_back({options.formats[0], 0, kind, shape, 0, 0});
  };
  for (const int64_t tokens : options.prefills) add("prefill", {1, tokens, 0});
  for (const int64_t context : options.contexts) {
    for (const int64_t batch : options.batches) add("decode", {batch, 1, context});
  }
  if (rows.empty()) fail("nothing to measure");
  return rows;
}

RigOptions rig_options(const Options& options, WeightFormat format, const std::vector<Row>& rows) {
  RigOptions rig{.format = format, .kv = options.kv, .cpu_time = options.cpu_time};
  for (const Row& row : rows) {
    rig.session_tokens = std::max(rig.session_tokens, row.shape.position + row.shape.count);
    rig.sequences = std::max(rig.sequences, row.shape.batch);
    rig.kv_tokens =
        std::max(rig.kv_tokens, row.shape.batch * ModelRig::blocks_of(row.shape) * ModelRig::kBlockTokens);
  }
  return rig;
}

double median_step(ModelRig* rig, const StepShape& shape, int rounds) {
  // A prefill of seconds is long enough to be measured three times.
  const int times = shape.count > 1 ? std::min(rounds, 3) : rounds;
  std::vector<double> seconds;
  rig->step({shape.batch, std::min<int64_t>(shape.count, 64), shape.position});  // warms up
  for (int i = 0; i < times; ++i) seconds.push_back(rig->step(shape));
  return median(std::move(seconds));
}

std::vector<Row> measure(const Options& options, const std::string& dir, Backend* backend, WeightFormat format,
                         const Machine& machine, std::vector<Row> rows) {
  ModelRig rig(dir, rig_options(options, format, rows), backend);
  const double weights = static_cast<double>(rig.streamed_bytes());
  std::printf("\n%s weights: %.0f MB streamed per step, %.2f bits each; %s KV\n",
              std::string(weight_format_name(format)).c_str(), weights / 1e6, rig.bits_per_weight(),
              std::string(kv_format_name(options.kv)).c_str());
  std::printf("%-8s %6s %8s %10s %11s %10s %9s %12s\n", "step", "batch", "context", "ms", "tokens/s", "floor ms",
              "of floor", "weight GB/s");
  for (Row& row : rows) {
    row.format = format;
    row.bits_per_weight = rig.bits_per_weight();
    row.seconds = median_step(&rig, row.shape, options.rounds);
    row.floor_seconds = rig.floor_seconds(row.shape, machine);
    const int64_t context = row.shape.count > 1 ? row.shape.count : row.shape.position;
    std::printf("%-8s %6lld %8lld %10.2f %11.1f %10.2f %8.0f%% %12.1f\n", row.kind,
                static_cast<long long>(row.shape.batch), static_cast<long long>(context), 1e3 * row.seconds,
                row.tokens_per_s(), 1e3 * row.floor_seconds, 100 * row.floor_seconds / row.seconds,
                row.shape.count > 1 ? 0 : weights / row.seconds / 1e9);
    std::fflush(stdout);
  }
  return rows;
}

void write_json(const Options& options, const Backend& backend, const Machine& machine,
                const std::vector<Row>& rows) {
  std::ofstream file(options.json);
  file << "{\"shape\":\"" << options.shape << "\",\"backend\":\"" << backend.description()
       << "\",\"read_gbs\":" << machine.read_all / 1e9 << ",\"rows\":[";
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    file << (i ? ",\n" : "\n") << "{\"format\":\"" << weight_format_name(row.format)
         << "\",\"bits\":" << row.bits_per_weight << ",\"kind\":\"" << row.kind
         << "\",\"batch\":" << row.shape.batch
         << ",\"context\":" << (row.shape.count > 1 ? row.shape.count : row.shape.position)
         << ",\"ms\":" << 1e3 * row.seconds << ",\"tokens_per_s\":" << row.tokens_per_s()
         << ",\"floor_ms\":" << 1e3 * row.floor_seconds << "}";
  }
  file << "\n]}\n";
  if (!file.flush()) fail(options.json + " cannot be written");
}

// Rounds of one step each, in turn; the ratio is the median of the rounds' own ratios.
void compare_kv(const Options& options, const std::string& dir, Backend* backend) {
  const int64_t context = options.contexts.at(0);
  const int64_t largest = *std::max_element(options.batches.begin(), options.batches.end());
  std::vector<std::unique_ptr<ModelRig>> rigs;
  const KvFormat formats[] = {KvFormat::kBF16, KvFormat::kInt8, KvFormat::kInt4};
  for (const KvFormat kv : formats) {
    rigs.push_back(std::make_unique<ModelRig>(
        dir,
        RigOptions{.format = options.formats[0],
                   .kv = kv,
                   .session_tokens = context + 1,
                   .kv_tokens = largest * (context + ModelRig::kBlockTokens),
                   .sequences = largest,
                   .cpu_time = options.cpu_time},
        backend));
  }
  std::printf("context %lld, %d rounds in turn\n\n%-8s %-8s %12s %12s %14s\n", static_cast<long long>(context),
              options.rounds, "batch", "KV", "ms, median", "ms, least", "time / bf16");
  for (const int64_t batch : options.batches) {
    std::vector<std::vector<double>> ms(rigs.size()), ratios(rigs.size());
    for (int round = -1; round < options.rounds; ++round) {  // the first warms up
      std::vector<double> now;
      for (const auto& rig : rigs) now.push_back(1e3 * rig->step({batch, 1, context}));
      for (size_t i = 0; round >= 0 && i < now.size(); ++i) {
        ms[i].push_back(now[i]);
        ratios[i].push_back(now[i] / now[0]);
      }
    }
    for (size_t i = 0; i < rigs.size(); ++i) {
      std::printf("%-8lld %-8s %12.2f %12.2f %14.3f\n", static_cast<long long>(batch),
                  std::string(kv_format_name(formats[i])).c_str(), median(ms[i]),
                  *std::min_element(ms[i].begin(), ms[i].end()), median(ratios[i]));
    }
  }
}

void print_tables(const Options& options, const std::string& dir, const ModelSpec& spec, Backend* backend) {
  const Machine machine = measure_machine(backend->threads(), isa_of(backend->description()));
  print(machine);
  const std::vector<Row> plan = rows_of(options, spec);
  std::vector<Row> all;
  for (const WeightFormat format : options.formats) {
    const std::vector<Row> rows = measure(options, dir, backend, format, machine, plan);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  std::printf("\nread bandwidth afterwards: %.1f GB/s\n", ReadMeter().bytes_per_second(backend->threads()) / 1e9);
  if (!options.json.empty()) write_json(options, *backend, machine, all);
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const auto wrote = [&](const std::string& dir) {
    std::fprintf(stderr, "writing random weights to %s\n", dir.c_str());
    const Status status = write_shape(options.shape, dir);
    if (!status.ok()) fail(std::string(status.message()));
  };
  if (!options.write.empty()) return wrote(options.write), 0;
  auto backend = make_backend("cpu", {.threads = options.threads, .isa = "", .pin = true});
  if (!backend.ok()) fail(std::string(backend.status().message()));
  if (options.cpu_time && (*backend)->threads() > 1) fail("--cpu-time needs --threads 1");
  (*backend)->bind_calling_thread();
  std::string dir = options.model;
  if (dir.empty()) {
    dir = (std::filesystem::temp_directory_path() / ("weir-bench-" + std::to_string(getpid()))).string();
    wrote(dir);
  }
  const auto spec = load_spec(dir);
  if (!spec.ok()) fail(std::string(spec.status().message()));
  std::printf("%s, %s\n", options.model.empty() ? options.shape.c_str() : options.model.c_str(),
              std::string((*backend)->description()).c_str());
  options.compare_kv ? compare_kv(options, dir, backend->get()) : print_tables(options, dir, *spec, backend->get());
  if (options.model.empty()) std::filesystem::remove_all(dir);
  return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) { return weir::bench::run(argc, argv); }
