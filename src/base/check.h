// WEIR_CHECK: our own invariants, on in release too. Never on anything that came from outside.
#pragma once

#include <string_view>

namespace weir {
[[noreturn]] void check_failed(const char* condition, const char* file, int line, std::string_view detail = {});
}

#define WEIR_CHECK(cond) \
  (static_cast<bool>(cond) ? void() : ::weir::check_failed(#cond, __FILE__, __LINE__))
#define WEIR_CHECK_MSG(cond, detail) \
  (static_cast<bool>(cond) ? void() : ::weir::check_failed(#cond, __FILE__, __LINE__, (detail)))
