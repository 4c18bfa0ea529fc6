// Sampler benchmark: CPU microseconds of one row of the vocabulary on one thread, for the settings that clients
// send. Floor: a row is read once, 608 KB at 151,936 logits, which the L2 and L3 of one core deliver in about 10
// us. Three rows by turns: "peaked", as a language model's (a few likely tokens far above a bell of the others),
// "bell" (normal, deviation 3, so that the nucleus holds thousands), "flat" (all within 0.1). Medians; each round
// samples with another seed.
//
//   bench_sampler [--vocab=N] [--rounds=N]

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "sampling/sampler.h"

namespace weir {
namespace {

double cpu_us() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

std::vector<float> make_row(const std::string& kind, size_t vocab) {
  std::mt19937 random(3);
  const float deviation = kind == "flat" ? 0.02f : kind == "bell" ? 3.0f : 2.2f;
  std::normal_distribution<float> bell(0, deviation);
  std::vector<float> row(vocab);
  for (float& x : row) x = bell(random);
  if (kind == "peaked") {
    for (int i = 0; i < 40; ++i) row[random() % vocab] = 19.0f - 0.25f * static_cast<float>(i);
  }
  return row;
}

struct Setting {
  const char* name;
  SamplingParams params;
};

std::vector<Setting> settings() {
  std::vector<Setting> all(8);
  all[0].name = "greedy";
  all[0].params.temperature = 0;
  all[1].name = "temperature 0.8";
  all[1].params.temperature = 0.8f;
  all[2] = all[1];
  all[2].name = "top-p 0.9, top-k 50, temperature 0.8";
  all[2].params.top_p = 0.9f;
  all[2].params.top_k = 50;
  all[3] = all[1];
  all[3].name = "top-k 50, temperature 0.8";
  all[3].params.top_k = 50;
  all[4] = all[1];
  all[4].name = "top-p 0.9, temperature 0.8";
  all[4].params.top_p = 0.9f;
  all[5] = all[1];
  all[5].name = "min-p 0.05, temperature 0.8";
  all[5].params.min_p = 0.05f;
  all[6] = all[0];
  all[6].name = "greedy, 5 logprobs";
  all[6].params.top_logprobs = 5;
  all[7] = all[2];
  all[7].name = "top-p 0.9, top-k 2000, temperature 0.8";
  all[7].params.top_k = 2000;
  return all;
}

double median_us(const std::vector<float>& row, SamplingParams params, int rounds, SamplerScratch* scratch) {
  std::vector<double> us;
  std::vector<float> logits(row.size());
  TokenEvent event;
  int64_t sum = 0;
  for (int round = 0; round < rounds; ++round) {
    std::copy(row.begin(), row.end(), logits.begin());
    params.seed = static_cast<uint64_t>(round);
    const double start = cpu_us();
    if (!sample_row({.logits = logits, .params = &params}, scratch, &event)) return -1;
    us.push_back(cpu_us() - start);
    sum += event.token;
  }
  volatile int64_t sink = sum;
  (void)sink;
  std::nth_element(us.begin(), us.begin() + static_cast<ptrdiff_t>(us.size() / 2), us.end());
  return us[us.size() / 2];
}

}  // namespace

int run(int argc, char** argv) {
  size_t vocab = 151'936;
  int rounds = 101;
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], "--vocab=", 8) == 0) vocab = std::stoul(argv[i] + 8);
    if (std::strncmp(argv[i], "--rounds=", 9) == 0) rounds = std::stoi(argv[i] + 9);
  }
  SamplerScratch scratch(static_cast<int32_t>(vocab));
  fmt::print("one row of {} logits, microseconds of one core, median of {}\n", vocab, rounds);
  fmt::print("{:<42} {:>9} {:>9} {:>9}\n", "", "peaked", "bell", "flat");
  for (const Setting& setting : settings()) {
    fmt::print("{:<42}", setting.name);
    for (const char* kind : {"peaked", "bell", "flat"}) {
      fmt::print(" {:>9.1f}", median_us(make_row(kind, vocab), setting.params, rounds, &scratch));
    }
    fmt::print("\n");
  }
  return 0;
}

}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
