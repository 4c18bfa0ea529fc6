// Helpers of this folder's tests: render a template and get its text, or "ERROR: ..." to look at.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/engine.h"

namespace weir::jinja {

inline std::string render(std::string_view source, std::string_view context = "{}", const Options& options = {}) {
  auto parsed = Template::parse(source);
  if (!parsed.ok()) return "ERROR: " + parsed.status().message();
  auto out = parsed->render(context, options);
  return out.ok() ? *out : "ERROR: " + out.status().message();
}

}  // namespace weir::jinja
