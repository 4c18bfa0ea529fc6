// parse: flags > WEIR_* environment > TOML file > defaults -> validated Settings.
//
// The only entry of this room that others need. Thread: main, before any other is started. It opens the --config
// file and @key files and looks whether the model's directory is there; it reads nothing of the model.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/command_line.h"
#include "config/settings.h"

namespace weir {

using Environment = std::map<std::string, std::string>;
Environment process_environment();

// The command's flags are those of settings_flags() and, for `weir plan`, one more; the words were parsed already.
// Every source is validated, also where a stronger one overrides it. An empty WEIR_* variable counts as not given.
// MODIFIES: warnings (one line each) for what works but should be looked at.
// ERRORS: kInvalidArgument, kNotFound, kFailedPrecondition; one line that names the flag, variable or file line.
Result<Settings> settings_from(const ParsedCommand& command, const Environment& environment,
                               std::vector<std::string>* warnings);

// The same from the words themselves: `MODEL --flag value ...`, without the program's and the command's name.
Result<Settings> parse_settings(const std::vector<std::string>& words, const Environment& environment,
                                std::vector<std::string>* warnings);

// Ranges that need more than one setting, and the defaults that follow from others (see max_batch_size). Settings
// that were filled by hand, as tests do, pass through here too. MODIFIES: settings, warnings.
Status resolve_settings(Settings* settings, std::vector<std::string>* warnings);

}  // namespace weir
