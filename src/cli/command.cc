#include "cli/command.h"

#include <unistd.h>

#include <cstdio>
#include <optional>

#include "base/output.h"
#include "config/nearest.h"

namespace weir {
namespace {

// One line whatever the text holds: a file name with a newline must not look like two messages.
void print_line(const char* kind, const std::string& text) {
  std::string line = std::string("weir: ") + kind + ": ";
  for (char c : text) line += (c == '\n' || c == '\r') ? ' ' : c;
  print_text(STDERR_FILENO, line + "\n");
}

std::string overview(const std::vector<Command>& commands) {
  std::string page = "weir " WEIR_VERSION ": an LLM inference server that keeps to a memory plan\n\nusage:\n";
  for (const Command& command : commands) {
    std::string left = "  weir " + command.spec.name + " " + command.spec.positional + " [options]";
    left.resize(std::max<size_t>(left.size() + 2, 36), ' ');
    page += left + command.spec.about.substr(0, command.spec.about.find('\n')) + "\n";
  }
  page += "  weir COMMAND --help               every option of a command\n";
  page += "  weir --version\n\nexamples:\n";
  for (const Command& command : commands) {
    if (!command.spec.examples.empty()) page += "  " + command.spec.examples[0] + "\n";
  }
  return page;
}

Status unknown_command(const std::string& word, const std::vector<Command>& commands) {
  std::vector<std::string> known;
  for (const Command& command : commands) known.push_back(command.spec.name);
  const std::string meant = did_you_mean(word, known);
  return invalid_argument("unknown command '" + word + "'" + (meant.empty() ? "; see weir --help" : meant));
}

int run_command(const Command& command, const std::vector<std::string>& words) {
  std::optional<OutputScope> never_waits;
  if (command.serves) never_waits.emplace();
  const Result<ParsedCommand> parsed = parse_command(command.spec, words);
  if (!parsed.ok()) return report_error(parsed.status(), kExitUsage);
  if (!parsed->help) return command.run(*parsed);
  print_text(STDOUT_FILENO, command_help(command.spec));
  return kExitOk;
}

}  // namespace

int report_error(const Status& status, int code) {
  print_line("error", status.message());
  return code;
}

void report_warnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) print_line("warning", warning);
}

int run_weir(const std::vector<std::string>& words, const std::vector<Command>& commands) {
  if (words.empty()) {
    std::fputs(overview(commands).c_str(), stderr);
    return kExitUsage;
  }
  const std::string& first = words[0];
  if (first == "--version" || first == "-V" || first == "version") {
    std::puts("weir " WEIR_VERSION);
    return kExitOk;
  }
  const bool help = first == "--help" || first == "-h" || first == "help";
  if (help && words.size() == 1) {
    std::fputs(overview(commands).c_str(), stdout);
    return kExitOk;
  }
  const std::string& wanted = help ? words[1] : first;
  for (const Command& command : commands) {
    if (command.spec.name != wanted) continue;
    if (help) return run_command(command, {"--help"});
    return run_command(command, {words.begin() + 1, words.end()});
  }
  return report_error(unknown_command(wanted, commands), kExitUsage);
}

}  // namespace weir
