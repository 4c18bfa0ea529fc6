#include "text/jinja/engine.h"

#include "text/jinja/json.h"
#include "text/jinja/parser.h"

namespace weir::jinja {

Result<Template> Template::parse(std::string_view source) {
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<const Program> program, parse_program(source));
  return Template(std::move(program));
}

Result<std::string> Template::render(std::string_view context_json, const Options& options) const {
  Heap heap(options.limits);  // declared first: it outlives every value
  return guarded(heap, [&]() -> Result<std::string> {
    WEIR_ASSIGN_OR_RETURN(const Value context, read_context(heap, context_json));
    weir::AuthoredText out;
    if (!run_into(heap, context, options, &out)) return invalid_argument(heap.error());
    return std::move(out.text);
  });
}

Result<Value> Template::read_context(Heap& heap, std::string_view context_json) {
  if (context_json.size() > kMaxContextBytes) {
    return invalid_argument("the template's context has " + std::to_string(context_json.size()) +
                            " bytes; the limit is " + std::to_string(kMaxContextBytes));
  }
  Value context = parse_json(heap, context_json);
  if (heap.failed()) return invalid_argument("template context, " + heap.error());
  if (!context.is(Kind::kDict)) return invalid_argument("the template's context must be a JSON object");
  return context;
}

Result<weir::AuthoredText> Template::run(Heap& heap, const Value& context, const Options& options) const {
  weir::AuthoredText out;
  if (!run_into(heap, context, options, &out)) return invalid_argument(heap.error());
  return out;
}

// RETURNS: false where the heap knows why there is no text.
bool Template::run_into(Heap& heap, const Value& context, const Options& options, weir::AuthoredText* out) const {
  AuthoredText made;
  Interp(*program_, heap, options).run(context.dict(), made);
  if (heap.failed() || !heap.can_copy_out(made.text.size() + 1 + made.authored.bytes())) return false;
  *out = {std::string(made.text), weir::Authored(made.authored)};
  return true;
}

}  // namespace weir::jinja
