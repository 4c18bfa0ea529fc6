// Engine: parse a template once, render it as often as wanted. chat_template.h is the public face; this one also
// takes limits and a frozen clock, for the tests, the differential probe and the fuzzer. Thread: a Template is
// immutable; any thread may render, each render has its own heap.
#pragma once

#include <memory>
#include <new>
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
  // The steps of it, for callers that look at the values between them; inside guarded(), and the heap outlives the
  // values.
  static Result<Value> read_context(Heap& heap, std::string_view context_json);
  // RETURNS: a copy, counted in the heap, with what the template wrote of it.
  Result<weir::AuthoredText> run(Heap& heap, const Value& context, const Options& options) const;

 private:
  bool run_into(Heap& heap, const Value& context, const Options& options, weir::AuthoredText* out) const;
  explicit Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
  std::unique_ptr<const Program> program_;
};

// Does work with values of a heap. RETURNS: its Result, or why the heap had no room for it.
template <class Work>
auto guarded(Heap& heap, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {  // of the heap, which has noted why; or the machine has no memory
    return invalid_argument(heap.failed() ? heap.error() : "there is no memory to render the template");
  }
}

}  // namespace weir::jinja
