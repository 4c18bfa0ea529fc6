// bench_options: the words after `weir bench` -> what is sent and how. Thread: main.
//
// Opens the files that options name (--trace, --prompts, --keys). ERRORS: kInvalidArgument, one line that begins
// with the flag, and those of reading a file.
#pragma once

#include <string>

#include "config/command_line.h"
#include "load/null_server.h"
#include "load/run_options.h"
#include "load/workload.h"

namespace weir {

struct BenchOptions {
  load::RunOptions run;
  load::WorkloadOptions workload;  // model is empty when it is to be asked for
  bool calibrate = true;           // measure tokens per made-up word first
  std::string json_path, html_path;
};

CommandSpec bench_spec();
Result<BenchOptions> bench_options_from(const ParsedCommand& command);
// REQUIRES: command.given("null-server").
Result<load::NullServerOptions> null_server_options_from(const ParsedCommand& command);

}  // namespace weir
