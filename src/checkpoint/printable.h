// Text of unknown origin made fit for a one-line message. Any thread; a value.
#pragma once

#include <string>
#include <string_view>

namespace weir {

// RETURNS: at most bytes_max bytes of it ("..." where cut), control bytes as '?'.
std::string printable(std::string_view text, size_t bytes_max = 120);

}  // namespace weir
