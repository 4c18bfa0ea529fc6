// weir simulate: the real admission, schedule and memory under a clock of its own, against a trace or a made-up
// load; or, with --seeds, many small worlds with faults.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/simulate_options.h"
#include "sim/abort_note.h"
#include "sim/soak.h"

namespace weir {
namespace {

// A line that is written over on a terminal, and once in ten seconds elsewhere.
class SoakProgress {
 public:
  explicit SoakProgress(int64_t seeds) : seeds_(seeds) {}
  void operator()(const sim::SoakResult& so_far) {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10'000))) return;
    last_ = now;
    std::fprintf(stderr, "%s%ld of %ld seeds, %ld requests, %lu steps%s", terminal_ ? "\r" : "",
                 static_cast<long>(so_far.seeds), static_cast<long>(seeds_), static_cast<long>(so_far.requests),
                 static_cast<unsigned long>(so_far.steps), terminal_ ? "   " : "\n");
  }
  void end() const {
    if (terminal_) std::fputs("\n", stderr);
  }

 private:
  const int64_t seeds_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

int run_soak_command(const ParsedCommand& command) {
  for (const auto& [name, values] : command.values) {
    if (name == "seeds" || name == "seed" || name == "requests" || name == "faults") continue;
    return report_error(invalid_argument("--" + name +
                                         " does not go with --seeds, which draws server, load and faults from each "
                                         "seed; it takes --seed, --requests and --faults on|off"),
                        kExitUsage);
  }
  sim::SoakOptions options;
  const Result<int64_t> seeds = integer_flag(command, "seeds", 1, 1, 1'000'000'000);
  if (!seeds.ok()) return report_error(seeds.status(), kExitUsage);
  const Result<int64_t> seed = integer_flag(command, "seed", 1, 0, INT64_MAX);
  if (!seed.ok()) return report_error(seed.status(), kExitUsage);
  const Result<int64_t> requests = integer_flag(command, "requests", 1000, 1, sim::kRequestsMax);
  if (!requests.ok()) return report_error(requests.status(), kExitUsage);
  const std::string faults = command.value_or("faults", "on");
  if (faults != "on" && faults != "off")
    return report_error(invalid_argument("--faults: with --seeds, write on or off"), kExitUsage);
  options.seeds = *seeds;
  options.first_seed = static_cast<uint64_t>(*seed);
  options.requests = *requests;
  options.faults = faults == "on";
  SoakProgress progress(options.seeds);
  const sim::SoakResult result = sim::run_soak(options, [&](const sim::SoakResult& so_far) { progress(so_far); });
  progress.end();
  if (result.violation) {
    return report_error(
        internal_error(fmt::format("an invariant is broken; seed {}, {}; replay: {}", result.failed_seed,
                                   result.violation->text(),
                                   sim::replay_command(result.failed_seed, options.requests, options.faults))),
        kExitFailed);
  }
  std::printf(
      "%s",
      fmt::format("{} seeds, {} requests, {} sequences, {} refused, {} steps, {} faults, {} preemptions\n"
                  "{:.0f} s simulated in {:.1f} s; every sequence ended once, everything came back\n",
                  result.seeds, result.requests, result.sequences, result.refusals, result.steps, result.faults,
                  result.preemptions, static_cast<double>(result.simulated_us) / 1e6, result.real_seconds)
          .c_str());
  for (size_t i = 0; i < result.finishes.size(); ++i) {
    if (result.finishes[i] == 0) continue;
    std::printf("  %-16s %lu\n", finish_reason_name(static_cast<FinishReason>(i)),
                static_cast<unsigned long>(result.finishes[i]));
  }
  return kExitOk;
}

Status write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  return file ? ok_status() : failed_precondition(path + ": cannot be written; choose another place for --svg");
}

int run_simulate(const ParsedCommand& command) {
  if (command.given("seeds")) return run_soak_command(command);
  std::vector<std::string> warnings;
  Result<SimulatePlan> plan = simulate_plan(command, &warnings);
  if (!plan.ok()) return report_error(plan.status(), kExitUsage);
  report_warnings(warnings);
  const sim::AbortNote where(words_of(command));
  const sim::RunReport report = sim::run_and_report(plan->world, *plan->profile, plan->load, plan->context);
  if (!report.violation.empty()) {
    return report_error(internal_error(fmt::format("an invariant is broken; seed {}, {}; replay: {}",
                                                   plan->context.seed, report.violation, words_of(command))),
                        kExitFailed);
  }
  std::fputs(command.given("json") ? report.json.c_str() : report.table.c_str(), stdout);
  if (!command.given("svg")) return kExitOk;
  const Status written = write_text(command.value_or("svg", ""), report.svg);
  return written.ok() ? kExitOk : report_error(written, kExitFailed);
}

}  // namespace

Command simulate_command() {
  CommandSpec spec{
      .name = "simulate",
      .about =
          "Runs the server's own admission, schedule and memory under a clock of its own: what would happen with "
          "this load?\n"
          "With --seeds it draws many small worlds with faults instead and stops at the first broken invariant.",
      .options = simulate_flags(),
      .examples = {"weir simulate --gpu h200 --model-size 8B --poisson 20 --requests 5000",
                   "weir simulate --gpu l4 --model-size 8B --trace azure.csv --svg plot.svg",
                   "weir simulate --seeds 1000 --requests 1000"},
  };
  return {std::move(spec), run_simulate};
}

}  // namespace weir
