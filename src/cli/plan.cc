// weir plan MODEL: the memory plan without loading weights.
#include <cstdio>

#include "cli/commands.h"
#include "config/options.h"
#include "config/parse.h"
#include "memory/plan/plan.h"
#include "server/app.h"

namespace weir {
namespace {

int run_plan(const ParsedCommand& command) {
  std::vector<std::string> warnings;
  const Result<Settings> settings = settings_from(command, process_environment(), &warnings);
  if (!settings.ok()) return report_error(settings.status(), kExitUsage);
  report_warnings(warnings);
  const Result<MemoryPlan> plan = plan_for(*settings);
  if (!plan.ok()) {
    const bool no_fit = plan.status().code() == Code::kFailedPrecondition;
    return report_error(plan.status(), no_fit ? kExitNoFit : kExitFailed);
  }
  std::string page = command.given("json") ? plan_json(*plan) : format_plan(*plan);
  if (page.empty() || page.back() != '\n') page += '\n';
  std::fputs(page.c_str(), stdout);
  return kExitOk;
}

}  // namespace

Command plan_command() {
  CommandSpec spec{
      .name = "plan",
      .about =
          "Prints the memory that `weir serve` would take, without loading weights.\n"
          "Exit status 3 when it does not fit, with the nearest settings that do.",
      .positional = "MODEL",
      .positional_help = "a local Hugging Face directory",
      .options = settings_flags(),
      .examples = {"weir plan models/weir-demo", "weir plan models/weir-demo --memory-limit 2GiB --json"},
  };
  spec.options.push_back({"json", "", "output", "the plan as JSON", ""});
  return {std::move(spec), run_plan};
}

}  // namespace weir
