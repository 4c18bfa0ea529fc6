// bench_perplexity: what quantised weights, or a quantised KV cache, cost in quality, on a real model and a real text,
// with our own forward.
//
//   bench_perplexity MODEL TEXT [--compare weights|kv] [--format NAME] [--special 1] [--tokens N] [--context N]
//                               [--threads N]
//
// The text is tokenised once and cut into windows of `context` tokens that share nothing, each behind the model's
// begin token where it has one; every token but a window's first counts. All rows see the same windows. --compare
// weights: every weight format with f32 KV, against f32 weights. --compare kv (as without): every KV format with the
// weights of --format, against bf16 KV; f32 KV then says how much of a difference is the rounding of bf16 itself.
// Columns: bits of a weight, scales included; perplexity; its change against the first row; the mean
// Kullback-Leibler divergence of the next token's distribution from the first row's, in nats; how often the most likely
// next token is the same. --special 1: what spells a special token in the text is that token. Nothing here is timed.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "support/machine.h"
#include "tensor/parse_dtype.h"
#include "text/tokenizer.h"

namespace weir {
namespace {

constexpr int kStepTokens = 64;

struct Options {
  std::string model, text;
  WeightFormat format = WeightFormat::kF32;
  bool compare_weights = false, parse_special = false;
  int64_t tokens = 1 << 30;
  int64_t context = 512;
  int threads = 0;
};

template <class T>
T must(Result<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "bench_perplexity: %s\n", result.status().message().c_str());
    std::exit(1);
  }
  return std::move(result).value();
}

// A model with one weight format, one KV format and room for one window.
struct Row {
  std::string name;
  double bits = 0;  // a weight of the feed-forward part
  std::unique_ptr<Transformer> model;
  Region region;
  double loss = 0, divergence = 0;
  int64_t same = 0;
};

Row load(const Options& options, WeightFormat format, KvFormat kv, const ModelSpec& spec, Backend& backend) {
  Row row{.name = std::string(options.compare_weights ? weight_format_name(format) : kv_format_name(kv))};
  row.bits = 8 * static_cast<double>(backend.ops().packed_bytes(format, 2 * spec.ffn, spec.hidden)) /
             static_cast<double>(2 * spec.ffn * spec.hidden);
  const ModelOptions sizes{.format = format, .kv_format = kv, .session_tokens = options.context,
                           .block_tokens = 64, .step_tokens_max = kStepTokens, .sequences_max = kStepTokens};
  auto checkpoint = must(Checkpoint::open(options.model));
  row.model = must(Transformer::load(spec, sizes, *checkpoint, backend, nullptr));
  const uint64_t block = Transformer::needs(spec, sizes, backend.ops()).kv_block;
  row.region = must(backend.device().reserve(block * static_cast<uint64_t>(sizes.blocks_per_sequence())));
  row.model->attach_kv(row.region.span(), sizes.blocks_per_sequence());
  return row;
}

// Logits to log-probabilities, in place.
void log_softmax(std::span<float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - top);
  const auto shift = static_cast<float>(top + std::log(sum));
  for (float& x : logits) x -= shift;
}

// What one row of the first model says against the same row of another.
double divergence(std::span<const float> from, std::span<const float> to) {
  double sum = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    sum += std::exp(static_cast<double>(from[i])) * (static_cast<double>(from[i]) - static_cast<double>(to[i]));
  }
  return sum;
}

size_t best(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

class Perplexity {
 public:
  Perplexity(const Options& options, Backend& backend) : spec_(must(load_spec(options.model))) {
    if (options.compare_weights) {
      for (const WeightFormat format : bench::all_weight_formats()) {
        rows_.push_back(load(options, format, KvFormat::kF32, spec_, backend));
      }
    } else {
      for (const KvFormat kv : {KvFormat::kBF16, KvFormat::kF32, KvFormat::kInt8, KvFormat::kInt4}) {
        rows_.push_back(load(options, options.format, kv, spec_, backend));
      }
    }
    blocks_.resize(static_cast<size_t>(rows_[0].model->options().blocks_per_sequence()));
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  void window(std::span<const int32_t> tokens) {
    for (size_t begin = 0; begin + 1 < tokens.size(); begin += kStepTokens) {
      const size_t count = std::min<size_t>(kStepTokens, tokens.size() - 1 - begin);
      step(tokens, begin, count);
    }
  }

  void print(const char* what) const {
    std::printf("%-10s %6s %12s %10s %14s %10s\n", what, "bits", "perplexity", "change", "divergence", "same top");
    const auto of = [&](const Row& row) { return std::exp(row.loss / static_cast<double>(counted_)); };
    for (const Row& row : rows_) {
      std::printf("%-10s %6.2f %12.4f %+9.3f%% %14.3e %9.2f%%\n", row.name.c_str(), row.bits, of(row),
                  100 * (of(row) / of(rows_[0]) - 1), row.divergence / static_cast<double>(counted_),
                  100.0 * static_cast<double>(row.same) / static_cast<double>(counted_));
    }
  }
  int64_t counted() const { return counted_; }

 private:
  void step(std::span<const int32_t> tokens, size_t begin, size_t count) {
    std::vector<int32_t> positions(count), sequence(count, 0), samples(count);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(begin));
    std::iota(samples.begin(), samples.end(), 0);
    const std::span<const int32_t> tables[] = {blocks_};
    std::vector<float> reference;
    const auto vocab = static_cast<size_t>(spec_.vocab);
    for (Row& row : rows_) {
      const auto logits = must(row.model->forward({.tokens = tokens.subspan(begin, count), .positions = positions,
                                                   .rows = sequence, .block_tables = tables,
                                                   .sample_rows = samples}));
      for (size_t i = 0; i < count; ++i) log_softmax(logits.subspan(i * vocab, vocab));
      if (reference.empty()) reference.assign(logits.begin(), logits.end());
      for (size_t i = 0; i < count; ++i) {
        const auto mine = logits.subspan(i * vocab, vocab);
        const auto first = std::span<const float>(reference).subspan(i * vocab, vocab);
        row.loss -= static_cast<double>(mine[static_cast<size_t>(tokens[begin + i + 1])]);
        row.divergence += divergence(first, mine);
        row.same += best(first) == best(mine);
      }
    }
    counted_ += static_cast<int64_t>(count);
  }

  const ModelSpec spec_;
  std::vector<Row> rows_;
  std::vector<int32_t> blocks_;
  int64_t counted_ = 0;
};

Result<Options> parse(int argc, char** argv) {
  Options options;
  std::vector<std::string> words(argv + 1, argv + argc);
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) {
      (options.model.empty() ? options.model : options.text) = words[i];
      continue;
    }
    if (i + 1 == words.size()) return invalid_argument(words[i] + " needs a value");
    const std::string flag = words[i], value = words[++i];
    if (flag == "--format") {
      WEIR_ASSIGN_OR_RETURN(options.format, parse_weight_format(value));
    } else if (flag == "--compare") {
      if (value != "weights" && value != "kv") return invalid_argument("--compare: weights or kv");
      options.compare_weights = value == "weights";
    } else if (flag == "--special") {
      options.parse_special = value != "0";
    } else if (flag == "--tokens") {
      options.tokens = std::max(2, std::atoi(value.c_str()));
    } else if (flag == "--context") {
      options.context = std::clamp(std::atoi(value.c_str()), 2, 1 << 20);
    } else if (flag == "--threads") {
      options.threads = std::max(0, std::atoi(value.c_str()));
    } else {
      return invalid_argument("unknown flag " + flag);
    }
  }
  if (options.text.empty()) return invalid_argument("usage: bench_perplexity MODEL TEXT [--compare weights|kv] "
                                                    "[--format NAME] [--special 1] [--tokens N] [--context N] [--threads N]");
  return options;
}

int run(int argc, char** argv) {
  Options options = must(parse(argc, argv));
  std::ifstream file(options.text, std::ios::binary);
  std::stringstream text;
  if (!(text << file.rdbuf())) {
    std::fprintf(stderr, "bench_perplexity: cannot read %s\n", options.text.c_str());
    return 1;
  }
  const auto tokenizer = must(Tokenizer::load_dir(options.model));
  std::vector<int32_t> tokens = must(tokenizer->encode(text.str(), false, options.parse_special));
  const std::vector<int32_t> begin = must(tokenizer->encode("", true));
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(options.tokens)));
  options.context = std::min(options.context, must(load_spec(options.model)).context_max);
  auto backend = must(make_backend("cpu", {.threads = options.threads}));
  backend->bind_calling_thread();
  Perplexity perplexity(options, *backend);
  const size_t fresh = static_cast<size_t>(options.context) - std::min<size_t>(begin.size(), 1);
  for (size_t at = 0; at < tokens.size(); at += fresh) {
    std::vector<int32_t> window(begin.begin(), begin.begin() + static_cast<long>(std::min<size_t>(begin.size(), 1)));
    const size_t end = std::min(tokens.size(), at + fresh);
    window.insert(window.end(), tokens.begin() + static_cast<long>(at), tokens.begin() + static_cast<long>(end));
    perplexity.window(window);
  }
  const std::string fixed =
      options.compare_weights ? "f32 KV" : std::string(weight_format_name(options.format)) + " weights";
  std::printf("%s, windows of %lld tokens, %lld tokens counted\n\n", fixed.c_str(),
              static_cast<long long>(options.context), static_cast<long long>(perplexity.counted()));
  perplexity.print(options.compare_weights ? "weights" : "KV");
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
