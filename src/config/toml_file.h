// toml_file: a settings file -> named texts, the same shape that flags and environment have.
//
// The library behind it (toml++) is visible in toml_file.cc alone. Thread: main, before any other is started. At
// most 1 MiB is read; the values are not interpreted here.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

using NamedTexts = std::map<std::string, std::vector<std::string>>;  // "max-batch-size" -> its values

// Settings may stand at the top or in a table [serve]; dashes and underscores are the same.
// known: the names that are allowed. where: what the messages call the text, usually the path.
// ERRORS: kInvalidArgument with the line for bad TOML, an unknown name (the nearest is named), a name given twice,
// a value that is no string, number, boolean or list of strings.
Result<NamedTexts> parse_settings_toml(std::string_view text, const std::string& where,
                                       const std::vector<std::string>& known);

// ERRORS: those above, and those of read_small_file().
Result<NamedTexts> read_settings_file(const std::string& path, const std::vector<std::string>& known);

}  // namespace weir
