#include "text/chat_template.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "base/files.h"
#include "text/jinja/engine.h"
#include "text/jinja/json.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using jinja::Heap;
using jinja::Kind;
using jinja::Value;

// tokenizer_config.json lists every added token: a few hundred KiB in the largest models.
constexpr size_t kMaxFileBytes = size_t{16} << 20;
const jinja::Limits kFileLimits{.steps = 20'000'000, .heap_bytes = size_t{512} << 20};

// RETURNS: nothing when there is no such file.
Result<std::optional<std::string>> read_file(const fs::path& path) {
  auto text = read_small_file(path.string(), kMaxFileBytes);
  if (!text.ok() && text.status().code() == Code::kNotFound) return std::optional<std::string>();
  if (!text.ok()) return text.status();
  return std::optional<std::string>(std::move(text).value());
}

// RETURNS: undefined when there is no such file.
Result<Value> read_json(Heap& heap, const fs::path& path) {
  WEIR_ASSIGN_OR_RETURN(const std::optional<std::string> text, read_file(path));
  if (!text) return Value();
  Value v = jinja::parse_json(heap, *text);
  if (heap.failed()) return data_loss(path.filename().string() + ", " + heap.error());
  if (!v.is(Kind::kDict)) return data_loss(path.filename().string() + " is not a JSON object");
  return v;
}

std::string string_member(const Value& object, std::string_view name) {
  const Value* v = object.is(Kind::kDict) ? object.dict()->find(name) : nullptr;
  return v != nullptr && v->is(Kind::kString) ? std::string(v->text()) : "";
}

// A special token is a string, or an object whose "content" is one.
std::string token_member(const Value& config, std::string_view name) {
  const Value* v = config.is(Kind::kDict) ? config.dict()->find(name) : nullptr;
  return v != nullptr && v->is(Kind::kDict) ? string_member(*v, "content") : string_member(config, name);
}

// "chat_template": one template, or several by name.
std::string template_member(const Value& config) {
  const Value* v = config.is(Kind::kDict) ? config.dict()->find("chat_template") : nullptr;
  if (v == nullptr || !v->is(Kind::kSeq)) return string_member(config, "chat_template");
  for (const std::string_view wanted : {"default", "tool_use"}) {
    for (const Value& each : v->seq()->items) {
      if (string_member(each, "name") == wanted) return string_member(each, "template");
    }
  }
  return "";
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const jinja::Template> engine) : engine_(std::move(engine)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::parse(std::string_view jinja_source) {
  WEIR_ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::parse(jinja_source));
  auto engine = std::make_unique<const jinja::Template>(std::move(parsed));
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(engine)));
}

Result<std::string> ChatTemplate::render(std::string_view context_json, size_t bytes_max) const {
  return engine_->render(context_json, {.limits = {.heap_bytes = bytes_max}});
}

Result<ChatTemplateFiles> read_chat_template(const std::string& model_dir) {
  const fs::path dir(model_dir);
  std::error_code error;
  if (!fs::is_directory(dir, error)) return not_found("there is no model directory '" + model_dir + "'");
  Heap heap(kFileLimits);  // outlives the values below
  ChatTemplateFiles out;
  WEIR_ASSIGN_OR_RETURN(const Value config, read_json(heap, dir / "tokenizer_config.json"));
  out.bos_token = token_member(config, "bos_token");
  out.eos_token = token_member(config, "eos_token");
  out.pad_token = token_member(config, "pad_token");
  out.unk_token = token_member(config, "unk_token");
  WEIR_ASSIGN_OR_RETURN(std::optional<std::string> own, read_file(dir / "chat_template.jinja"));
  if (own) {
    out.source = std::move(*own);
    return out;
  }
  WEIR_ASSIGN_OR_RETURN(const Value file, read_json(heap, dir / "chat_template.json"));
  out.source = template_member(file);
  if (out.source.empty()) out.source = template_member(config);
  return out;
}

}  // namespace weir
