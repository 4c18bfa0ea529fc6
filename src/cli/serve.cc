// weir serve MODEL: loads, prints the plan, serves until SIGINT or SIGTERM, drains, stops.
#include <unistd.h>

#include <csignal>

#include "base/clock.h"
#include "base/log.h"
#include "base/output.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "config/options.h"
#include "config/parse.h"
#include "memory/plan/plan.h"
#include "server/app.h"

namespace weir {
namespace {

void say(const std::string& text) { print_text(STDOUT_FILENO, text); }

std::string curl_line(const App& app, const Settings& settings) {
  const std::string key = settings.api_keys.empty() && settings.tenants_file.empty() ? "" : " -H \"Authorization: Bearer $WEIR_API_KEY\"";
  const std::string url = app.url();
  const bool is_unix = url.rfind("unix:", 0) == 0;
  const std::string where = is_unix ? "--unix-socket " + url.substr(5) + " http://localhost" : url;
  return "  curl -N " + where + "/v1/chat/completions -H 'Content-Type: application/json'" + key +
         " \\\n    -d '{\"model\": \"" + app.model_name() +
         "\", \"stream\": true, \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'\n";
}

Result<std::unique_ptr<App>> load(const Settings& settings) {
  const SteadyClock clock;
  ProgressLine line(STDERR_FILENO, isatty(STDERR_FILENO) != 0);
  return App::create(settings, [&](double fraction, const std::string& text) {
    line.show(fraction, text, clock.now_us());
    const int signal = take_stop_signal();
    if (signal == 0) return;
    line.done();
    (void)flush_output(OutputScope::kExitPatienceMs);
    _exit(128 + signal);  // nothing is served yet, so there is nothing to drain
  });
}

int drain(App* app, const Settings& settings, int signal) {
  exit_on_next_stop_signal();
  say("stopping: no new requests; waiting up to " + std::to_string((settings.drain_timeout_ms + 999) / 1000) +
      " s for running answers (" + (signal == SIGINT ? "Ctrl-C" : "signal") + " again stops at once)\n");
  const Status drained = app->drain_and_stop();
  say(drained.ok() ? "stopped: every answer was done\n" : "stopped: " + drained.message() + "; they were told\n");
  return kExitOk;  // either way it did what it was asked to
}

int run_serve(const ParsedCommand& command) {
  std::vector<std::string> warnings;
  const Result<Settings> settings = settings_from(command, process_environment(), &warnings);
  if (!settings.ok()) return report_error(settings.status(), kExitUsage);
  report_warnings(warnings);
  set_log_level(settings->log_level);
  block_stop_signals();
  const bool reloads = !settings->tenants_file.empty();
  if (reloads) block_reload_signal();

  say("weir " WEIR_VERSION "  model " + settings->model + "\n");
  const Result<MemoryPlan> plan = plan_for(*settings);  // asked first: a refusal costs no loading
  if (!plan.ok() && plan.status().code() == Code::kFailedPrecondition)
    return report_error(plan.status(), kExitNoFit);
  if (!plan.ok()) return report_error(plan.status(), kExitFailed);
  Result<std::unique_ptr<App>> loaded = load(*settings);
  if (!loaded.ok()) return report_error(loaded.status(), kExitFailed);
  App& app = **loaded;

  say(format_plan(app.plan()) + "\n");
  if (const Status started = app.start(); !started.ok()) return report_error(started, kExitFailed);
  say("ready: " + app.url() + " (model " + app.model_name() + ", " +
      std::to_string(settings->max_concurrent_requests) + " places, " +
      std::to_string(settings->max_queued_requests) + " may wait)\n" + curl_line(app, *settings));
  const auto reload = [&app] { app.reload_tenants(); };
  return drain(&app, *settings, reloads ? wait_for_stop_signal(reload) : wait_for_stop_signal());
}

}  // namespace

Command serve_command() {
  return {{
              .name = "serve",
              .about = "Serves a model over HTTP with OpenAI's routes, within a printed memory plan.",
              .positional = "MODEL",
              .positional_help = "a local Hugging Face directory (config.json, *.safetensors, tokenizer.json)",
              .options = settings_flags(),
              .examples = {"weir serve models/weir-demo",
                           "weir serve models/weir-demo --max-concurrent-requests 8 --memory-limit 4GiB",
                           "WEIR_API_KEYS=secret weir serve models/weir-demo --server-name 0.0.0.0",
                           "weir serve models/weir-demo --api-keys tenants.toml"},
          },
          run_serve,
          /*serves=*/true};
}

}  // namespace weir
