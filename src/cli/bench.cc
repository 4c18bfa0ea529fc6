// weir bench URL: an open- or closed-loop load test of any OpenAI-compatible server (src/load does the work).
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/thread.h"
#include "base/units.h"
#include "cli/bench_options.h"
#include "cli/chat_client.h"
#include "cli/commands.h"
#include "cli/signals.h"
#include "load/dial.h"
#include "load/preflight.h"
#include "load/report.h"
#include "load/run.h"

namespace weir {
namespace {

constexpr Micros kLineEveryUs = 1'000'000;
constexpr size_t kConnectionsWanted = 256;  // an open loop takes what there is, and at least so many

// Turns SIGINT and SIGTERM into a flag while a blocking call is under way.
class StopWatch {
 public:
  ~StopWatch() {
    ending_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  // ERRORS: those of start_thread().
  Status start() {
    WEIR_ASSIGN_OR_RETURN(thread_, start_thread("signals", [this] { watch(); }));
    return ok_status();
  }
  const std::atomic<bool>* flag() const { return &stopped_; }

 private:
  void watch() {
    while (!ending_.load() && !stopped_.load()) {
      if (take_stop_signal() != 0) stopped_.store(true);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  std::atomic<bool> stopped_{false}, ending_{false};
  std::thread thread_;
};

// One line a second; on a terminal each overwrites the last.
class ProgressPrinter {
 public:
  ProgressPrinter() : in_place_(::isatty(STDERR_FILENO) != 0) {}
  ~ProgressPrinter() {
    if (in_place_ && printed_) std::fputs("\r\033[K", stderr);
  }

  void show(const load::LiveTotals& totals) {
    if (totals.at_us - last_.at_us < kLineEveryUs) return;
    const double seconds = static_cast<double>(totals.at_us - last_.at_us) / 1e6;
    const uint64_t firsts = totals.first_tokens - last_.first_tokens;
    const double first_ms = firsts == 0 ? 0
                                        : static_cast<double>(totals.first_token_us - last_.first_token_us) /
                                              static_cast<double>(firsts) / 1e3;
    char line[256];
    std::snprintf(
        line, sizeof line,
        "%5.0f s  %llu sent, %llu in flight, %llu done, %llu refused, %llu failed   %.1f req/s, %.0f tok/s, "
        "first token %.1f ms",
        static_cast<double>(totals.at_us) / 1e6, count(totals.sent), count(totals.in_flight),
        count(totals.completed), count(totals.refused), count(totals.failed),
        static_cast<double>(totals.completed - last_.completed) / seconds,
        static_cast<double>(totals.tokens - last_.tokens) / seconds, first_ms);
    std::fprintf(stderr, in_place_ ? "\r\033[K%s" : "%s\n", line);
    std::fflush(stderr);
    last_ = totals;
    printed_ = true;
  }

 private:
  static unsigned long long count(uint64_t number) { return number; }
  const bool in_place_;
  bool printed_ = false;
  load::LiveTotals last_;
};

Status write_file(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return failed_precondition("cannot write " + path + ": " + std::strerror(errno));
  const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  return whole && closed ? ok_status()
                         : failed_precondition("cannot write all of " + path + ": " + std::strerror(errno));
}

// Before an hour of load, not after it: can the result be written?
Status check_writable(const std::string& path) {
  if (path.empty()) return ok_status();
  std::FILE* file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) return failed_precondition("cannot write " + path + ": " + std::strerror(errno));
  std::fclose(file);
  return ok_status();
}

Status with_help(const Status& status) {
  if (status.code() != Code::kUnavailable) return status;
  return Status(status.code(), status.message() + "; is the server running, and is this its address?");
}

// The address that answers, the model's name, tokens per word.
Status prepare(BenchOptions* options, load::RunOptions* run, SocketAddress* target) {
  StopWatch watch;
  WEIR_RETURN_IF_ERROR(watch.start());
  load::WorkloadOptions& workload = options->workload;
  const Result<Socket> reached = dial(workload.server, watch.flag(), target);
  if (!reached.ok()) return with_help(reached.status());
  if (workload.model.empty()) {
    ChatTarget asked;
    asked.server = workload.server;
    asked.api_key = workload.tenants.empty() ? "" : workload.tenants[0].key;
    asked.stop = watch.flag();
    asked.notice = [](const std::string&) {};
    const Result<std::string> name = ask_model_name(asked);
    if (!name.ok()) {
      return Status(name.status().code(), "the server does not say what model it has (" + name.status().message() +
                                              "); name one with --model");
    }
    workload.model = *name;
  }
  if (options->calibrate) {
    const Result<load::TokenScale> scale = load::measure_scale(workload, watch.flag());
    if (scale.ok()) workload.scale = *scale;
    if (!scale.ok() && !watch.flag()->load()) {
      report_warnings({"prompt lengths are estimates, one token a word: " + scale.status().message()});
    }
  }
  if (watch.flag()->load()) return Status(Code::kCancelled, "stopped before the load began");
  const size_t needed = run->concurrency > 0 ? static_cast<size_t>(run->concurrency) : kConnectionsWanted;
  WEIR_ASSIGN_OR_RETURN(run->connections_max, load::raise_descriptor_limit(needed));
  return ok_status();
}

int run_null_server(const ParsedCommand& command) {
  const Result<load::NullServerOptions> options = null_server_options_from(command);
  if (!options.ok()) return report_error(options.status(), kExitUsage);
  const Result<size_t> limit = load::raise_descriptor_limit(kConnectionsWanted);
  if (!limit.ok()) return report_error(limit.status(), kExitFailed);
  block_stop_signals();
  Result<std::unique_ptr<load::NullServer>> server = load::NullServer::open(*options);
  if (!server.ok()) return report_error(server.status(), kExitFailed);
  std::printf("null server on http://%s:%d\n", options->host.c_str(), (*server)->port());
  std::fflush(stdout);
  Result<std::thread> thread = start_thread("null server", [&] { (*server)->run(); });
  if (!thread.ok()) return report_error(thread.status(), kExitFailed);
  wait_for_stop_signal();
  (*server)->stop();
  thread->join();
  std::printf("%s requests, at most %s connections at once\n", format_count((*server)->requests()).c_str(),
              format_count((*server)->most_connections()).c_str());
  return kExitOk;
}

int print_result(const BenchOptions& options, const load::Report& report) {
  std::fputs(load::report_text(report).c_str(), stdout);
  std::fflush(stdout);
  Status status;
  if (!options.json_path.empty()) status = write_file(options.json_path, load::report_json(report));
  if (status.ok() && !options.html_path.empty()) status = write_file(options.html_path, load::report_html(report));
  return status.ok() ? kExitOk : report_error(status, kExitFailed);
}

int run_bench(const ParsedCommand& command) {
  if (command.given("null-server")) return run_null_server(command);
  Result<BenchOptions> options = bench_options_from(command);
  if (!options.ok()) return report_error(options.status(), kExitUsage);
  for (const std::string& path : {options->json_path, options->html_path}) {
    const Status status = check_writable(path);
    if (!status.ok()) return report_error(status, kExitUsage);
  }
  block_stop_signals();
  SocketAddress target;
  const Status status = prepare(&*options, &options->run, &target);
  if (!status.ok()) return report_error(status, kExitFailed);
  const load::Workload workload(options->workload);
  bool stopping = false;
  Result<load::RunResult> result = [&] {
    ProgressPrinter progress;
    return load::run_load(options->run, workload, target, [&](const load::LiveTotals& totals) {
      progress.show(totals);
      if (!stopping && take_stop_signal() != 0) {
        stopping = true;
        exit_on_next_stop_signal();
      }
      return !stopping;
    });
  }();
  if (!result.ok()) return report_error(result.status(), kExitFailed);
  return print_result(*options, load::Report(options->run, workload, std::move(*result)));
}

}  // namespace

Command bench_command() { return {bench_spec(), run_bench}; }

}  // namespace weir
