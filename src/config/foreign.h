// foreign: flags that people bring along from other servers, and what weir says to each instead of "unknown".
//
// Pure functions over a fixed table. A flag whose meaning weir already has under another name gets that name; one
// whose feature weir lacks gets a plain no. Nothing is ever accepted silently and then not done.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir {

// name: without leading dashes. RETURNS: one line that says what to do, or "" when the name is not in the table.
std::string foreign_flag_hint(std::string_view name);

// The names in the table, so that a test can hold every hint to the truth.
std::vector<std::string_view> foreign_flags();

}  // namespace weir
