// command_line: the words after `weir COMMAND` -> named texts, and the help page of a command.
//
// The library behind it (CLI11) is visible in command_line.cc alone. Thread: main, before any other is started. It
// never gives a value its meaning: options.h does that, so that flags, environment and file share one path.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

struct OptionSpec {
  std::string name;      // "max-batch-size", without the leading dashes
  std::string value;     // what the help calls its value: "N"; empty: a switch without a value
  std::string group;     // heading in the help; options of one group stand together; empty: not shown
  std::string help;      // one line
  std::string standard;  // the default as one would write it; shown in the help; empty: none
  bool many = false;     // takes one or more values
  bool on_off = false;   // may stand without its value, which then is "on", as LMDeploy writes switches
};

struct CommandSpec {
  std::string name;        // "serve"
  std::string about;       // one or two lines
  std::string positional;  // "MODEL"; empty: none
  std::string positional_help;
  std::vector<OptionSpec> options;    // --help is added to every command
  std::vector<std::string> examples;  // whole command lines
};

struct ParsedCommand {
  bool help = false;
  std::string positional;                                  // empty when not given
  std::map<std::string, std::vector<std::string>> values;  // by option name; a switch has an empty list

  bool given(const std::string& name) const { return values.count(name) != 0; }
  // RETURNS: the last value given, or `otherwise`.
  std::string value_or(const std::string& name, const std::string& otherwise) const;
};

// A single-value option given twice takes the last; underscores in an option's name are read as dashes.
// ERRORS: kInvalidArgument for an unknown option (names the nearest), a missing value, a second positional.
Result<ParsedCommand> parse_command(const CommandSpec& spec, const std::vector<std::string>& words);

// The page of `weir COMMAND --help`: usage, about, options by group, examples. Ends with a newline.
std::string command_help(const CommandSpec& spec);

}  // namespace weir
