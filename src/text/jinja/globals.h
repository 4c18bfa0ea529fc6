// The functions a template finds without importing anything: range, dict, namespace, cycler, joiner,
// raise_exception, strftime_now. Constant table, any thread.
#pragma once

#include <string_view>

#include "text/jinja/interp.h"

namespace weir::jinja {

inline constexpr int64_t kMaxRange = 100'000;  // as jinja2's sandbox

BuiltinFn find_global(std::string_view name);  // nullptr when there is none

}  // namespace weir::jinja
