// bench_storm: a real server under a storm of good, bad, leaving, slow and greedy clients (tests/server/storm.h),
// once for each size of the KV cache, and what is left of its promises.
//
//   bench_storm [--requests N] [--at-once N] [--seed N] [--greedy PERCENT] [--max-body-bytes N] [--memory-limit
//   BYTES]
//               [--caches A,B,...] [--model DIR]
//
// Default: 20,000 requests each at --cache-max-entry-count 1.0, 0.3, 4MiB and 2MiB within 144 MiB, by 64
// connections at once. The limit is so small that a ratio means something, 2 MiB so small that sequences preempt
// each other. Of the requests --greedy percent (5) are attacks: bodies that cost a parser or a template most for
// their bytes, answers that are never read. Exit status 1 when a promise was broken: peak above the plan, resident
// memory grown by 1 % after the warm-up (the first tenth), a sealed thread that allocates, anything that was not
// returned, an answer that ends without its reason, recomputed tokens of 2 % of those produced.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "server/server_process.h"
#include "server/storm.h"

namespace weir::testing {
namespace {

struct Options {
  StormOptions storm;
  std::string memory_limit = "144MiB";
  std::string caches = "1.0,0.3,4MiB,2MiB";
  std::string model = demo_model();
};

struct Run {
  std::string cache;
  double seconds = 0;
  StormReport report;
};

Run storm_at(const std::string& cache, const Options& options) {
  ServerProcess server({"--cache-max-entry-count", cache, "--memory-limit", options.memory_limit,
                        "--max-concurrent-requests", "16", "--max-queued-requests", "56", "--queue-timeout", "10s",
                        "--max-body-bytes", std::to_string(options.storm.limits.body_bytes_max),
                        "--max-connections", "256", "--cache-block-seq-len", "16", "--log-level", "warning"},
                       options.model);
  if (server.port() == 0) std::exit(1);
  std::fprintf(stderr, "storming --cache-max-entry-count %s\n", cache.c_str());
  const auto begin = std::chrono::steady_clock::now();
  Run run{.cache = cache, .report = run_storm(server, options.storm)};
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (!server.running()) run.report.faults.push_back("the server died:\n" + server.log());
  return run;
}

void print_row(const char* name, const std::vector<Run>& runs, const std::function<std::string(const Run&)>& cell) {
  std::printf("%-34s", name);
  for (const Run& run : runs) std::printf(" %12s", cell(run).c_str());
  std::printf("\n");
}

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

double metric(const Run& run, const char* name) { return run.report.end.metric(name); }

// The door's refusals by reason, those that occurred in any run.
void print_refusals(const std::vector<Run>& runs) {
  const std::string family = "weir_refusals_total{reason=\"";
  for (const auto& [name, ignored] : runs.front().report.end.metrics) {
    if (name.rfind(family, 0) != 0) continue;
    const auto count = [&name = name](const Run& run) { return metric(run, name.c_str()); };
    if (std::none_of(runs.begin(), runs.end(), [&](const Run& run) { return count(run) > 0; })) continue;
    const std::string reason = name.substr(family.size(), name.size() - family.size() - 2);
    print_row(("  refused: " + reason).c_str(), runs, [&](const Run& run) { return number("%.0f", count(run)); });
  }
}

void print_outcomes(const std::vector<Run>& runs) {
  print_row("--cache-max-entry-count", runs, [](const Run& run) { return run.cache; });
  print_row("seconds", runs, [](const Run& run) { return number("%.0f", run.seconds); });
  for (int i = 0; i < static_cast<int>(StormOutcome::kCount); ++i) {
    const auto outcome = static_cast<StormOutcome>(i);
    print_row(storm_outcome_name(outcome), runs,
              [&](const Run& run) { return std::to_string(run.report.count(outcome)); });
  }
  print_refusals(runs);
}

void print_memory(const std::vector<Run>& runs) {
  const auto mb = [](double bytes) { return number("%.2f", bytes / 1e6); };
  print_row("plan, MB", runs, [&](const Run& run) { return mb(static_cast<double>(run.report.plan_bytes)); });
  print_row("peak (VmHWM), MB", runs,
            [&](const Run& run) { return mb(static_cast<double>(run.report.peak_bytes)); });
  print_row("resident after warm-up, MB", runs,
            [&](const Run& run) { return mb(static_cast<double>(run.report.warm.rss_bytes)); });
  print_row("resident at the end, MB", runs,
            [&](const Run& run) { return mb(static_cast<double>(run.report.end.rss_bytes)); });
  print_row("drift", runs, [](const Run& run) { return number("%+.2f%%", 100 * run.report.drift()); });
  print_row("unaccounted after warm-up, MB", runs,
            [&](const Run& run) { return mb(run.report.warm.metric("weir_host_unaccounted_bytes")); });
  print_row("unaccounted at the end, MB", runs,
            [&](const Run& run) { return mb(metric(run, "weir_host_unaccounted_bytes")); });
  print_row("ledger's peak, MB", runs, [&](const Run& run) { return mb(metric(run, "weir_host_bytes_peak")); });
  print_row("ledger at the end, bytes", runs,
            [](const Run& run) { return number("%.0f", run.report.end.metric_sum("weir_host_bytes{")); });
  print_row("live blocks at the end", runs,
            [](const Run& run) { return number("%.0f", metric(run, "weir_kv_blocks{state=\"live\"}")); });
  print_row("allocations of sealed threads", runs, [](const Run& run) {
    return number("%.0f", run.report.end.metric_sum("weir_sealed_allocations_total{"));
  });
}

void print_tokens(const std::vector<Run>& runs) {
  const auto counter = [&](const char* title, const char* name) {
    print_row(title, runs, [name](const Run& run) { return number("%.0f", metric(run, name)); });
  };
  counter("tokens produced", "weir_output_tokens_total");
  counter("prompt tokens computed", "weir_prompt_tokens_total");
  counter("sequences started", "weir_sequences_started_total");
  counter("preemptions", "weir_preemptions_total");
  counter("recomputed tokens", "weir_recomputed_tokens_total");
  print_row("recomputed / produced", runs,
            [](const Run& run) { return number("%.3f%%", 100 * run.report.recomputed()); });
  print_row("overflows / sequences started", runs,
            [](const Run& run) { return number("%.3f%%", 100 * metric(run, "weir_overcommit_overflow_ratio")); });
  print_row("prefix hits / tokens looked up", runs, [](const Run& run) {
    return number("%.1f%%", 100 * metric(run, "weir_prefix_hit_tokens_total") /
                                std::max(1.0, metric(run, "weir_prefix_lookup_tokens_total")));
  });
}

bool read_options(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    const int count = std::atoi(value.c_str());
    if (flag == "--requests" && count > 0)
      options->storm.requests = count;
    else if (flag == "--at-once" && count > 0)
      options->storm.at_once = std::min(count, 200);
    else if (flag == "--seed" && count >= 0)
      options->storm.seed = static_cast<uint32_t>(count);
    else if (flag == "--greedy" && count >= 0 && count <= 100)
      options->storm.limits.greedy_percent = count;
    else if (flag == "--max-body-bytes" && count >= 1024)
      options->storm.limits.body_bytes_max = static_cast<size_t>(count);
    else if (flag == "--memory-limit" && !value.empty())
      options->memory_limit = value;
    else if (flag == "--caches" && !value.empty())
      options->caches = value;
    else if (flag == "--model" && !value.empty())
      options->model = value;
    else
      return std::fprintf(stderr, "bench_storm: '%s %s' is not understood\n", flag.c_str(), value.c_str()), false;
  }
  options->storm.warm_up_requests = options->storm.requests / 10;
  return true;
}

int run(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, &options)) return 2;
  std::vector<Run> runs;
  std::stringstream caches(options.caches);
  for (std::string cache; std::getline(caches, cache, ',');) runs.push_back(storm_at(cache, options));
  std::printf("%d requests, %d at once, seed %u, --memory-limit %s\n\n", options.storm.requests,
              options.storm.at_once, options.storm.seed, options.memory_limit.c_str());
  print_outcomes(runs);
  print_memory(runs);
  print_tokens(runs);
  int broken = 0;
  for (const Run& one : runs) {
    for (const std::string& sentence : one.report.broken_promises()) {
      std::printf("BROKEN at %s: %s\n", one.cache.c_str(), sentence.c_str());
      ++broken;
    }
  }
  return broken > 0 ? 1 : 0;
}

}  // namespace
}  // namespace weir::testing

int main(int argc, char** argv) { return weir::testing::run(argc, argv); }
