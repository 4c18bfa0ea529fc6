#include "text/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "base/files.h"
#include "base/python_json.h"
#include "text/chat_context.h"
#include "text/jinja/engine.h"
#include "text/jinja/json.h"
#include "text/tokenizer.h"

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
  std::string buffer;
  Value v = jinja::parse_json(heap, plain_json(*text, &buffer));
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

Result<ChatTemplateFiles> read_files(Heap& heap, const fs::path& dir) {
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

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<const jinja::Template> engine, TemplateTraits traits)
    : engine_(std::move(engine)), traits_(std::move(traits)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::parse(std::string_view jinja_source,
                                                          const std::string& bos_token,
                                                          const std::string& eos_token) {
  WEIR_ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::parse(jinja_source));
  auto engine = std::make_unique<const jinja::Template>(std::move(parsed));
  TemplateTraits traits = probe_traits(*engine, bos_token, eos_token);
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(engine), std::move(traits)));
}

Result<std::string> ChatTemplate::render(std::string_view context_json, size_t bytes_max) const {
  WEIR_ASSIGN_OR_RETURN(AuthoredText prompt, render_adapted(context_json, false, bytes_max));
  return std::move(prompt.text);
}

Result<RenderedChat> ChatTemplate::render_chat(std::string_view context_json, bool open, size_t bytes_max) const {
  RenderedChat out;
  WEIR_ASSIGN_OR_RETURN(out.hidden, find_hidden(context_json, bytes_max));
  if (out.hidden) return out;
  WEIR_ASSIGN_OR_RETURN(out.prompt, render_adapted(context_json, open, bytes_max));
  if (!open || cut_at_mark(&out.prompt)) return out;
  return invalid_argument(
      "the last message cannot be continued: this model's chat template does not show it once and as it is");
}

Result<AuthoredText> ChatTemplate::render_adapted(std::string_view context_json, bool open,
                                                  size_t bytes_max) const {
  const jinja::Options options{.limits = {.heap_bytes = bytes_max}};
  Heap heap(options.limits);  // outlives the values below
  return jinja::guarded(heap, [&]() -> Result<AuthoredText> {
    WEIR_ASSIGN_OR_RETURN(const Value context, jinja::Template::read_context(heap, context_json));
    if (open) mark_last_message(heap, context);
    adapt_chat(heap, context, traits_);
    return engine_->run(heap, context, options);
  });
}

// With values of its own, because a report changes them and a template may too. Where the template fails, the
// render that follows says why.
Result<std::optional<HiddenPart>> ChatTemplate::find_hidden(std::string_view context_json, size_t bytes_max) const {
  const jinja::Options options{.limits = {.heap_bytes = bytes_max}};
  Heap heap(options.limits);
  return jinja::guarded(heap, [&]() -> Result<std::optional<HiddenPart>> {
    WEIR_ASSIGN_OR_RETURN(const Value context, jinja::Template::read_context(heap, context_json));
    if (is_shown_plain_chat(context, traits_)) return std::optional<HiddenPart>();
    const ShownReport report = report_shown(*engine_, heap, context, traits_, options);
    if (report.hidden.empty()) return std::optional<HiddenPart>();
    return std::optional<HiddenPart>(report.hidden.front());
  });
}

Result<std::string> ChatTemplate::adapted_context(std::string_view context_json) const {
  Heap heap(jinja::Limits{});
  return jinja::guarded(heap, [&]() -> Result<std::string> {
    WEIR_ASSIGN_OR_RETURN(const Value context, jinja::Template::read_context(heap, context_json));
    adapt_chat(heap, context, traits_);
    const jinja::Text out = jinja::dump_json(heap, context, {.ensure_ascii = true});
    if (heap.failed()) return invalid_argument(heap.error());
    return std::string(out);
  });
}

std::vector<int32_t> ChatTemplate::turn_tokens(const Tokenizer& tokenizer) const {
  static constexpr std::string_view kWithSystem =
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u"},{"role":"assistant","content":"a"},)"
      R"({"role":"user","content":"u"}],"add_generation_prompt":false})";
  static constexpr std::string_view kWithout =
      R"({"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"a"},{"role":"user","content":"u"}],)"
      R"("add_generation_prompt":false})";
  std::vector<int32_t> out;
  for (const std::string_view context : {kWithSystem, kWithout}) {
    const auto rendered = render(context);
    const auto ids = tokenizer.encode(rendered.ok() ? *rendered : "", false);
    if (!ids.ok()) continue;
    std::copy_if(ids->begin(), ids->end(), std::back_inserter(out),
                 [&](int32_t id) { return tokenizer.is_added(id) && !tokenizer.is_special(id); });
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<ChatTemplateFiles> read_chat_template(const std::string& model_dir) {
  const fs::path dir(model_dir);
  std::error_code error;
  if (!fs::is_directory(dir, error)) return not_found("there is no model directory '" + model_dir + "'");
  Heap heap(kFileLimits);
  return jinja::guarded(heap, [&] { return read_files(heap, dir); });  // a look-up may need room that is not there
}

}  // namespace weir
