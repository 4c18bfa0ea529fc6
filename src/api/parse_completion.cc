#include "api/parse_completion.h"

#include <fmt/format.h>

namespace weir::api {
namespace {

constexpr std::string_view kPromptShapes =
    "must be a string, an array of strings, an array of token ids or an array of arrays of token ids";

Prompt token_prompt(const boost::json::array& ids, const ParamLimits& limits, Fields* f) {
  Prompt prompt{.is_tokens = true};
  prompt.tokens = read_token_ids(ids, "prompt", limits.vocab_size, f);
  if (prompt.tokens.empty()) f->fail("prompt", "must not be an empty list of token ids");
  return prompt;
}

Prompt one_of_many(const boost::json::value& value, const ParamLimits& limits, Fields* f) {
  if (value.is_string()) return {.text = std::string(std::string_view(value.get_string()))};
  if (value.is_array()) return token_prompt(value.get_array(), limits, f);
  f->fail("prompt", kPromptShapes);
  return {};
}

// Counted first, so that a list of a million prompts costs nothing.
void read_prompt_list(const boost::json::array& list, const ParamLimits& limits, Fields* f, GenerateRequest* r) {
  if (list.size() > kPromptsMax) {
    return f->fail("prompt", fmt::format("may hold at most {} prompts, got {}", kPromptsMax, list.size()));
  }
  check_sequences(limits, static_cast<int>(list.size()), f, *r);
  const bool texts = list[0].is_string();
  for (const auto& value : list) {
    if (!f->ok()) return;
    if (value.is_string() != texts) return f->fail("prompt", kPromptShapes);
    r->prompts.push_back(one_of_many(value, limits, f));
  }
}

void read_prompt(const ParamLimits& limits, Fields* f, GenerateRequest* r) {
  const auto* prompt = f->find("prompt");
  if (prompt == nullptr) return f->fail("prompt", "is required");
  if (prompt->is_string()) {
    r->prompts.push_back({.text = std::string(std::string_view(prompt->get_string()))});
  } else if (!prompt->is_array() || prompt->get_array().empty()) {
    return f->fail("prompt", kPromptShapes);
  } else if (as_number(prompt->get_array()[0])) {
    r->prompts.push_back(token_prompt(prompt->get_array(), limits, f));
  } else {
    return read_prompt_list(prompt->get_array(), limits, f, r);
  }
  check_sequences(limits, 1, f, *r);
}

}  // namespace

void parse_completion(const ParamLimits& limits, Fields* f, GenerateRequest* r) {
  r->endpoint = Endpoint::kCompletion;
  read_common_params(limits, f, r);
  if (!r->max_tokens && r->params.min_tokens > kCompletionTokensDefault) {
    f->fail("min_tokens", fmt::format("is {} and max_tokens is {} by default; send max_tokens too",
                                      r->params.min_tokens, kCompletionTokensDefault));
  }
  r->echo = f->flag("echo", false);
  if (const auto count = f->integer("logprobs", 0, kTopLogprobsMax)) {
    r->params.top_logprobs = static_cast<int32_t>(*count);
  }
  if (f->ok()) read_prompt(limits, f, r);
}

}  // namespace weir::api
