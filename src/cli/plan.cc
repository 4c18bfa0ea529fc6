// weir plan MODEL: the memory plan without loading weights, and whether N sequences of P + O tokens would fit.
#include <array>
#include <cstdio>

#include "cli/commands.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/values.h"
#include "memory/plan/fit.h"
#include "memory/plan/plan.h"
#include "server/app.h"

namespace weir {
namespace {

constexpr int kExitAnswerNo = 2;  // --for: the answer is no; so that `if weir plan ... --for` reads well in a script
constexpr int64_t kQuestionMax = int64_t{1} << 30;

int report_plan_error(const Status& status) {
  if (status.code() == Code::kInvalidArgument) return report_error(status, kExitUsage);
  return report_error(status, status.code() == Code::kFailedPrecondition ? kExitNoFit : kExitFailed);
}

void print_page(std::string page) {
  if (page.empty() || page.back() != '\n') page += '\n';
  std::fputs(page.c_str(), stdout);
}

bool asks(const ParsedCommand& command) {
  return command.given("for") || command.given("prompt") || command.given("output");
}

// ERRORS: kInvalidArgument when one of the three is missing or is no number of at least 1.
Result<FitQuestion> question_from(const ParsedCommand& command) {
  FitQuestion question;
  const std::array<std::pair<const char*, int64_t*>, 3> parts = {{{"for", &question.sequences},
                                                                  {"prompt", &question.prompt_tokens},
                                                                  {"output", &question.output_tokens}}};
  for (const auto& [name, number] : parts) {
    const std::string flag = std::string("--") + name;
    if (!command.given(name)) {
      return invalid_argument("--for N, --prompt P and --output O belong together; " + flag + " is missing");
    }
    const Result<int64_t> value = parse_integer(command.value_or(name, ""), 1, kQuestionMax);
    if (!value.ok()) return value.status().with_prefix(flag);
    *number = *value;
  }
  return question;
}

int run_question(const ParsedCommand& command, const Settings& settings) {
  const Result<FitQuestion> question = question_from(command);
  if (!question.ok()) return report_error(question.status(), kExitUsage);
  const Result<PlanAnswer> found = answer_question(settings, *question);
  if (!found.ok()) return report_plan_error(found.status());
  const MemoryPlan* plan = found->plan ? &*found->plan : nullptr;
  if (command.given("json")) {
    print_page(fit_json(plan, found->answer));
  } else {
    if (plan != nullptr) print_page(format_plan(*plan));
    print_page(fit_text(found->answer));
  }
  return found->answer.fits ? kExitOk : kExitAnswerNo;
}

int run_plan(const ParsedCommand& command) {
  std::vector<std::string> warnings;
  const Result<Settings> settings = settings_from(command, process_environment(), &warnings);
  if (!settings.ok()) return report_error(settings.status(), kExitUsage);
  report_warnings(warnings);
  if (asks(command)) return run_question(command, *settings);
  std::string cache_line;
  const Result<MemoryPlan> plan = plan_for(*settings, &cache_line);
  if (!plan.ok()) {
    const bool no_fit = plan.status().code() == Code::kFailedPrecondition;
    return report_error(plan.status(), no_fit ? kExitNoFit : kExitFailed);
  }
  print_page(command.given("json") ? plan_json(*plan) : format_plan(*plan));
  if (!command.given("json") && !cache_line.empty()) print_page(cache_line);
  return kExitOk;
}

}  // namespace

Command plan_command() {
  CommandSpec spec{
      .name = "plan",
      .about =
          "Prints the memory that `weir serve` would take, without loading weights.\n"
          "Exit status 3 when it does not fit, with the nearest settings that do; with --for, 0 is yes and 2 is no.",
      .positional = "MODEL",
      .positional_help = "a local Hugging Face directory",
      .options = settings_flags(),
      .examples = {"weir plan models/weir-demo", "weir plan models/weir-demo --memory-limit 2GiB --json",
                   "weir plan models/weir-demo --for 16 --prompt 500 --output 200"},
  };
  spec.options.push_back({"for", "N", "question", "would N sequences fit at once ...", ""});
  spec.options.push_back({"prompt", "TOKENS", "question", "... with a prompt of so many tokens each ...", ""});
  spec.options.push_back({"output", "TOKENS", "question", "... and an answer of so many?", ""});
  spec.options.push_back({"json", "", "output", "the plan as JSON, with the answer where there is a question", ""});
  return {std::move(spec), run_plan};
}

}  // namespace weir
