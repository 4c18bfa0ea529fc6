// ChatTemplate: a model's own Jinja template, turning messages into the prompt the model was trained on.
//
// Owner: loaded once with the model. Thread: immutable, any thread renders concurrently. Limits: 256 KiB of
// template, 32 MiB of context, and per render 2 million steps, the bytes that the caller grants and 8 MiB of output
// (text/jinja/heap.h), so a template that loops for ever ends with an error. A render sees only its context: it
// never reads a file, and never the environment; the one thing from outside is the clock, through strftime_now.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weir {

namespace jinja {
class Template;
}

class ChatTemplate {
 public:
  // ERRORS: kInvalidArgument naming the line of the template.
  static Result<std::unique_ptr<ChatTemplate>> parse(std::string_view jinja_source);
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // context_json: a JSON object with "messages", and optionally "tools", "documents", "add_generation_prompt",
  // "bos_token", "eos_token" and any other variable the template knows; merged by the caller.
  // RETURNS: the prompt. ERRORS: kInvalidArgument when the JSON is bad, when the template calls raise_exception
  // (the message is the template's own), fails, or hits a limit.
  // bytes_max: what the render may hold at any moment, the text that it returns included.
  Result<std::string> render(std::string_view context_json, size_t bytes_max = kRenderBytesMax) const;
  static constexpr size_t kRenderBytesMax = size_t{64} << 20;

 private:
  explicit ChatTemplate(std::unique_ptr<const jinja::Template> engine);
  std::unique_ptr<const jinja::Template> engine_;
};

// What a model directory says about its prompts.
struct ChatTemplateFiles {
  std::string source;                                      // empty when the model has no template
  std::string bos_token, eos_token, pad_token, unk_token;  // empty when absent
};

// Looks for chat_template.jinja, then chat_template.json, then "chat_template" of tokenizer_config.json (a string,
// or a list of {name, template} of which "default" is taken, else "tool_use"). The special tokens come from
// tokenizer_config.json. ERRORS: kNotFound for a missing directory, kDataLoss for a file that is no JSON or too
// large.
Result<ChatTemplateFiles> read_chat_template(const std::string& model_dir);

}  // namespace weir
