// commands: one function per subcommand; main.cc puts them into the table. Thread: main.
#pragma once

#include "cli/command.h"

namespace weir {

Command serve_command();
Command plan_command();
Command chat_command();
Command bench_command();
Command key_command();
Command simulate_command();

}  // namespace weir
