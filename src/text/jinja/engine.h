// Engine: parse a template once, render it as often as wanted. chat_template.h is the public face; this one also
// takes limits and a frozen clock, for the tests, the differential probe and the fuzzer. Thread: a Template is
// immutable; any thread may render, each render has its own heap.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "text/jinja/interp.h"

namespace weir::jinja {

inline constexpr size_t kMaxContextBytes = size_t{32} << 20;

class Template {
 public:
  // ERRORS: kInvalidArgument naming the line.
  static Result<Template> parse(std::string_view source);
  // context_json: a JSON object; its members are the template's variables.
  // ERRORS: kInvalidArgument for bad JSON, an error in the template, raise_exception (its message alone) or a
  // limit.
  Result<std::string> render(std::string_view context_json, const Options& options) const;

 private:
  Result<std::string> run(Heap& heap, std::string_view context_json, const Options& options) const;
  explicit Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
  std::unique_ptr<const Program> program_;
};

}  // namespace weir::jinja
