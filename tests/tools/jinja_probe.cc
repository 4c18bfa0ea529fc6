// jinja_probe: renders what tests/python/test_jinja.py sends, so that it can be compared with jinja2.
//
// stdin: lines of {"template": "...", "context": "<JSON text of an object>", "now": 1700000000, "immutable": true};
// "now" and "immutable" may be absent. stdout: one line of JSON per line read: {"ok": "<text>"} or {"error":
// "<why>"}.
#include <iostream>
#include <string>

#include "text/jinja/engine.h"
#include "text/jinja/json.h"

namespace {

using weir::jinja::Dict;
using weir::jinja::Heap;
using weir::jinja::Kind;
using weir::jinja::Limits;
using weir::jinja::Value;

std::string answer(Heap& heap, const char* key, const std::string& text) {
  const Value out = weir::jinja::make_dict(heap);
  out.dict()->set(weir::jinja::make_string(heap, key), weir::jinja::make_string(heap, weir::jinja::Text(text)));
  return std::string(weir::jinja::dump_json(heap, out, {.ensure_ascii = true}));
}

std::string handle(const std::string& line) {
  Heap heap(Limits{.steps = 1'000'000'000, .heap_bytes = size_t{1} << 30});
  const Value request = weir::jinja::parse_json(heap, line);
  if (heap.failed() || !request.is(Kind::kDict)) return "{\"error\": \"the probe got a bad line\"}";
  Dict& d = *request.dict();
  const Value* source = d.find("template");
  const Value* context = d.find("context");
  if (source == nullptr || context == nullptr) return "{\"error\": \"the probe needs template and context\"}";
  weir::jinja::Options options;
  if (const Value* now = d.find("now")) options.now_seconds = now->integer();
  if (const Value* immutable = d.find("immutable")) options.immutable = weir::jinja::truthy(*immutable);
  auto parsed = weir::jinja::Template::parse(source->text());
  if (!parsed.ok()) return answer(heap, "error", "parse: " + parsed.status().message());
  auto out = parsed->render(context->text(), options);
  return out.ok() ? answer(heap, "ok", *out) : answer(heap, "error", out.status().message());
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) std::cout << handle(line) << "\n" << std::flush;
  return 0;
}
