// command: the table of `weir` subcommands and what happens before and after one of them runs.
//
// Thread: main. Errors are one line on stderr, "weir: error: ...", and an exit code that scripts can rely on.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/command_line.h"

namespace weir {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,  // something went wrong while running
  kExitUsage = 2,   // the command line, environment or settings file is wrong; nothing was started
  kExitNoFit = 3,   // the plan does not fit this machine and these settings
};

// Not named Command itself: message/gateway.h has another weir::Command, and two types of one name in one program share
// their templates' symbols.
struct Subcommand {
  CommandSpec spec;
  std::function<int(const ParsedCommand&)> run;  // RETURNS: an exit code
  bool serves = false;  // nothing that it prints is ever waited for, its errors and --help included (base/output.h)
};
using Command = Subcommand;

// Handles --help, --version and unknown commands (names the nearest); runs the command otherwise.
// words: without the program's name. RETURNS: the process's exit code.
int run_weir(const std::vector<std::string>& words, const std::vector<Command>& commands);

// Prints "weir: error: MESSAGE". RETURNS: code.
int report_error(const Status& status, int code);
void report_warnings(const std::vector<std::string>& warnings);  // "weir: warning: ..."

}  // namespace weir
