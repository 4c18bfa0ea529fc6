// ChatTemplate: a model's own Jinja template, turning messages into the prompt the model was trained on.
//
// Owner: loaded once with the model. Thread: immutable, any thread renders concurrently. Limits: 256 KiB of
// template, 32 MiB of context, and per render 2 million steps, the bytes that the caller grants and 8 MiB of output
// (text/jinja/heap.h), so a template that loops for ever ends with an error. A render sees only its context: it
// never reads a file, and never the environment; the one thing from outside is the clock, through strftime_now.
// A conversation of more than system, user and assistant in turn is rendered twice, one after the other: the first
// time to see that the prompt shows all of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/authored.h"
#include "text/template_traits.h"

namespace weir {

class Tokenizer;

// A part of a conversation that the template leaves out of the prompt.
struct HiddenPart {
  uint32_t message = 0;  // index in "messages"
  std::string part;      // "content", "tool_calls[0].function.name"
};

struct RenderedChat {
  AuthoredText prompt;
  std::optional<HiddenPart> hidden;  // set: there is no prompt, because this would be missing in it
};

class ChatTemplate {
 public:
  // Parses and probes a template. bos_token, eos_token: as texts, for the probes.
  // ERRORS: kInvalidArgument naming the line of the template.
  static Result<std::unique_ptr<ChatTemplate>> parse(std::string_view jinja_source,
                                                     const std::string& bos_token = {},
                                                     const std::string& eos_token = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // context_json: a JSON object with "messages", and optionally "tools", "documents", "add_generation_prompt",
  // "bos_token", "eos_token" and any other variable the template knows; merged by the caller. Messages are in
  // OpenAI's form (contents as strings, arguments as JSON texts) and are brought into the form that this template
  // shows. open: the last message is to be continued, so the prompt ends with its text, white space at its end
  // included unless the template trims it. REQUIRES: its content is a string then. bytes_max: what the work may
  // hold at any moment, the text that it returns included. RETURNS: the prompt, or the first part of the
  // conversation that it would not show. ERRORS: kInvalidArgument when the JSON is bad, when the template calls
  // raise_exception (the message is the template's own), fails, or hits a limit; when an open message is not shown,
  // or twice.
  Result<RenderedChat> render_chat(std::string_view context_json, bool open = false,
                                   size_t bytes_max = kRenderBytesMax) const;
  // The prompt's text alone, whether it shows everything or not.
  Result<std::string> render(std::string_view context_json, size_t bytes_max = kRenderBytesMax) const;
  static constexpr size_t kRenderBytesMax = size_t{64} << 20;
  // The messages as the template gets them, as JSON, for tests that render them elsewhere.
  Result<std::string> adapted_context(std::string_view context_json) const;

  const TemplateTraits& traits() const { return traits_; }
  // Added tokens that are not special in the tokeniser's file but that this template writes between turns, sorted.
  // They count as control tokens (SpecialRule::turn_tokens).
  std::vector<int32_t> turn_tokens(const Tokenizer& tokenizer) const;

 private:
  explicit ChatTemplate(std::unique_ptr<const jinja::Template> engine, TemplateTraits traits);
  Result<AuthoredText> render_adapted(std::string_view context_json, bool open, size_t bytes_max) const;
  Result<std::optional<HiddenPart>> find_hidden(std::string_view context_json, size_t bytes_max) const;
  std::unique_ptr<const jinja::Template> engine_;
  const TemplateTraits traits_;
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
