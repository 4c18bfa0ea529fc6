// simulate_options: the words after `weir simulate` -> the server, the step times, the load and the faults.
//
// Thread: main. Files are opened here (profile, trace); nothing of them is trusted. Errors are one line that names
// the flag or the file's line.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/command_line.h"
#include "sim/profile.h"
#include "sim/run.h"

namespace weir {

struct SimulatePlan {
  std::unique_ptr<sim::StepProfile> profile;
  sim::Load load;
  sim::RunOptions world;
  sim::ReportContext context;
};

std::vector<OptionSpec> simulate_flags();
// MODIFIES: warnings. ERRORS: kInvalidArgument, kNotFound, kFailedPrecondition.
Result<SimulatePlan> simulate_plan(const ParsedCommand& command, std::vector<std::string>* warnings);
// [min, max], or `otherwise` where the flag is not given. ERRORS: kInvalidArgument that names the flag.
Result<int64_t> integer_flag(const ParsedCommand& command, const std::string& name, int64_t otherwise, int64_t min,
                             int64_t max);
// The command line that was given, for replaying it.
std::string words_of(const ParsedCommand& command);

}  // namespace weir
