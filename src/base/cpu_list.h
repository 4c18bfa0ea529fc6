// CPU lists as Linux writes them: "0-3,8". Any thread; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

inline constexpr int kCpuIdMax = 65535;

// RETURNS: the ids, ascending, each once. Blanks around the list are skipped (files of /sys end with a newline).
// ERRORS: kInvalidArgument for anything but numbers up to kCpuIdMax and rising ranges between commas; for an empty
// list.
Result<std::vector<int>> parse_cpu_list(std::string_view text);

// The shortest list that parses back. ids: ascending, each once.
std::string format_cpu_list(const std::vector<int>& ids);

}  // namespace weir
