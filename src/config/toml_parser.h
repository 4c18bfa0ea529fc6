// toml++ as this room uses it: without exceptions and without its asserts. Private to .cc files that read TOML.
#pragma once

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
// toml++ 3.3 asserts, or assumes, what it reports right after: a table header that begins with no key. Its asserts
// are taken out in every build, so that a bad file is an error and never an abort or undefined.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <string>

namespace weir {

// "FILE:LINE", as the messages begin.
inline std::string toml_line(const std::string& where, const toml::source_region& source) {
  return where + ":" + std::to_string(source.begin.line);
}

}  // namespace weir
