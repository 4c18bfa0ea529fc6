// Parser: tokens to a Program. Recursive descent after Jinja's own grammar; nesting is bounded by kMaxParseDepth,
// so neither parsing nor later evaluation can run out of stack. Runs once per template at load; any thread.
//
// Not supported, each with an error that says so: extends, include, import, from, block, autoescape, recursive
// loops.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "text/jinja/ast.h"

namespace weir::jinja {

inline constexpr int kMaxParseDepth = 200;

// ERRORS: kInvalidArgument "chat template line N: ...".
Result<std::unique_ptr<const Program>> parse_program(std::string_view source);

}  // namespace weir::jinja
