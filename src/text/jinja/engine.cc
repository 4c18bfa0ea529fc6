#include "text/jinja/engine.h"

#include <new>

#include "text/jinja/json.h"
#include "text/jinja/parser.h"

namespace weir::jinja {

Result<Template> Template::parse(std::string_view source) {
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<const Program> program, parse_program(source));
  return Template(std::move(program));
}

Result<std::string> Template::render(std::string_view context_json, const Options& options) const {
  if (context_json.size() > kMaxContextBytes) {
    return invalid_argument("the template's context has " + std::to_string(context_json.size()) +
                            " bytes; the limit is " + std::to_string(kMaxContextBytes));
  }
  Heap heap(options.limits);  // declared first: it outlives every value
  try {
    return run(heap, context_json, options);
  } catch (const std::bad_alloc&) {  // of the heap, which has noted why; or the machine has no memory
    return invalid_argument(heap.failed() ? heap.error() : "there is no memory to render the template");
  }
}

Result<std::string> Template::run(Heap& heap, std::string_view context_json, const Options& options) const {
  Text out;
  {
    const Value context = parse_json(heap, context_json);
    if (heap.failed()) return invalid_argument("template context, " + heap.error());
    if (!context.is(Kind::kDict)) return invalid_argument("the template's context must be a JSON object");
    Interp(*program_, heap, options).run(context.dict(), out);
  }
  if (heap.failed() || !heap.can_copy_out(out.size() + 1)) return invalid_argument(heap.error());
  return std::string(out);
}

}  // namespace weir::jinja
