// Reading small files whole: configuration, tokenisers, templates. Any thread; start-up only.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace weir {

// Regular files only (a FIFO must not hang the start), and never more than bytes_max, whatever its size said.
// ERRORS, each with the path: kNotFound, kFailedPrecondition (no right, no regular file, unreadable), kTooLarge.
Result<std::string> read_small_file(const std::string& path, uint64_t bytes_max);

}  // namespace weir
