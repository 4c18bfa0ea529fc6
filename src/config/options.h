// options: the table of every setting: its name, its help, and how its text becomes a member of Settings.
//
// One table serves the flags, the WEIR_* environment and the file, so that the three cannot drift apart. A new knob
// is one member of Settings and one row here. Thread: main, before any other is started.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/command_line.h"
#include "config/settings.h"

namespace weir {

struct SettingOption {
  OptionSpec spec;
  // values: one text, or several where spec.many. ERRORS: kInvalidArgument with what to write; the caller names the
  // flag, variable or file line. MODIFIES: settings, and warnings where something works but should be looked at.
  std::function<Status(const std::vector<std::string>& values, Settings*, std::vector<std::string>* warnings)> set;
};

// In the order of the help. `model` is among them for the file and the environment; on the command line it is the
// positional. Static storage.
const std::vector<SettingOption>& setting_options();

// The flags of `weir serve` and `weir plan`: setting_options() without `model`, and --config.
std::vector<OptionSpec> settings_flags();

// "max-batch-size" -> "WEIR_MAX_BATCH_SIZE".
std::string environment_name(const std::string& option);

}  // namespace weir
