#include "text/jinja/engine.h"

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
  Heap heap(options.limits);  // declared first: it outlives every value below
  const Value context = parse_json(heap, context_json);
  if (heap.failed()) return invalid_argument("template context, " + heap.error());
  if (!context.is(Kind::kDict)) return invalid_argument("the template's context must be a JSON object");
  std::string out;
  Interp(*program_, heap, options).run(context.dict(), out);
  if (heap.failed()) return invalid_argument(heap.error());
  return out;
}

}  // namespace weir::jinja
