// log_caught: one line a second at most for what ended a connection's turn, whichever connection's it was.
//
// Thread: any. Without memory every connection may fail at every turn; the log must not grow with that.
#pragma once

#include <exception>
#include <string_view>

namespace weir::http {

void log_caught(std::string_view fault) noexcept;
inline void log_caught(const std::exception& error) noexcept { log_caught(std::string_view(error.what())); }

}  // namespace weir::http
