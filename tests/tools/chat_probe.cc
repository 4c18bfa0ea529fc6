// chat_probe: what weir makes of chats for one template, so that tests/python/test_chats.py can compare it with
// jinja2.
//
// stdin: lines of {"template": "...", "context": "<JSON text of an object>", "open": false}. stdout: one line of
// JSON per line read: {"traits": "...", "adapted": "<the context that the template got>"} and of the render one of
// "prompt", "hidden" (the part that would be left out) and "error".
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "text/chat_template.h"
#include "text/jinja/engine.h"
#include "text/jinja/json.h"

namespace {

using namespace weir;
using jinja::Text;
using jinja::Value;

struct Line {
  std::string source, context;
  bool open = false;
};

Line read_line(const std::string& text) {
  Line line;
  jinja::Heap heap({.steps = 1'000'000'000, .heap_bytes = size_t{1} << 30});
  const Value request = jinja::parse_json(heap, text);
  if (heap.failed() || !request.is(jinja::Kind::kDict)) return line;
  if (const Value* v = request.dict()->find("template")) line.source = std::string(v->text());
  if (const Value* v = request.dict()->find("context")) line.context = std::string(v->text());
  if (const Value* v = request.dict()->find("open")) line.open = jinja::truthy(*v);
  return line;
}

std::string as_json(const std::map<std::string, std::string>& members) {
  jinja::Heap heap({.steps = 1'000'000'000, .heap_bytes = size_t{1} << 30});
  const Value out = jinja::make_dict(heap);
  for (const auto& [key, text] : members) {
    out.dict()->set(jinja::make_string(heap, Text(key)), jinja::make_string(heap, Text(text)));
  }
  return std::string(jinja::dump_json(heap, out, {.ensure_ascii = true}));
}

std::string answer(const Line& line) {
  static std::map<std::string, std::unique_ptr<ChatTemplate>> known;
  std::unique_ptr<ChatTemplate>& chat = known[line.source];
  if (chat == nullptr) {
    auto parsed = ChatTemplate::parse(line.source, "<s>", "</s>");
    if (!parsed.ok()) return as_json({{"error", "parse: " + parsed.status().message()}});
    chat = std::move(*parsed);
  }
  std::map<std::string, std::string> out{{"traits", describe(chat->traits())}};
  if (auto adapted = chat->adapted_context(line.context); adapted.ok()) out["adapted"] = *adapted;
  const auto rendered = chat->render_chat(line.context, line.open);
  if (!rendered.ok()) {
    out["error"] = rendered.status().message();
  } else if (rendered->hidden) {
    out["hidden"] = "messages[" + std::to_string(rendered->hidden->message) + "]." + rendered->hidden->part;
  } else {
    out["prompt"] = rendered->prompt.text;
  }
  return as_json(out);
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) std::cout << answer(read_line(line)) << "\n" << std::flush;
  return 0;
}
