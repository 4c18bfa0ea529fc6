#include "api/unsupported.h"

#include <fmt/format.h>

namespace weir::api {
namespace {

using Value = boost::json::value;

bool is_false(const Value& v) { return v.is_bool() && !v.get_bool(); }
bool is_zero(const Value& v) { return as_number(v) == 0.0; }
bool is_one(const Value& v) { return as_number(v) == 1.0; }
bool is_empty(const Value& v) {
  return (v.is_string() && v.get_string().empty()) || (v.is_array() && v.get_array().empty()) ||
         (v.is_object() && v.get_object().empty());
}
bool never(const Value&) { return false; }
bool is_text_only(const Value& v) {
  return v.is_array() && v.get_array().size() == 1 && v.get_array()[0] == "text";
}
// tools go to the template and the answer stays text, so only a forced call cannot be had.
bool is_free_choice(const Value& v) { return v == "auto" || v == "none"; }
bool is_text_format(const Value& v) {
  const auto* type = v.is_object() ? v.get_object().if_contains("type") : nullptr;
  return type != nullptr && *type == "text";
}

struct Row {
  const char* name;
  bool (*is_default)(const Value&);
  const char* advice;
};

constexpr Row kBoth[] = {
    {"response_format", is_text_format, "constrained output is not supported; leave it out or send {\"type\":\"text\"}"},
    {"structured_outputs", never, "constrained output is not supported"},
    {"guided_json", never, "constrained output is not supported"},
    {"guided_regex", never, "constrained output is not supported"},
    {"guided_choice", never, "constrained output is not supported"},
    {"guided_grammar", never, "constrained output is not supported"},
    {"use_beam_search", is_false, "beam search is not supported"},
    {"length_penalty", is_one, "beam search is not supported"},
    {"prompt_logprobs", is_zero, "logprobs of the prompt are not supported"},
    {"include_stop_str_in_output", is_false, "stop strings are never part of the output"},
    {"return_tokens_as_token_ids", is_false, "logprobs carry token texts and bytes"},
    {"truncate_prompt_tokens", never, "prompts are never cut; shorten it before sending"},
    {"logits_processors", is_empty, "custom logits processors are not supported"},
};
constexpr Row kChatOnly[] = {
    {"tool_choice", is_free_choice, "only \"auto\" and \"none\" are supported; the answer is always text"},
    {"functions", is_empty, "use tools"},
    {"function_call", is_free_choice, "use tools and tool_choice"},
    {"audio", never, "only text is produced"},
    {"modalities", is_text_only, "only [\"text\"] is supported"},
    {"prediction", never, "predicted outputs are not supported"},
    {"web_search_options", never, "web search is not supported"},
    {"echo", is_false, "echo belongs to /v1/completions"},
};
constexpr Row kCompletionOnly[] = {
    {"suffix", is_empty, "insertion is not supported"},
};

void check(const Row& row, Fields* fields) {
  const Value* value = fields->find(row.name);
  if (value == nullptr || row.is_default(*value)) return;
  fields->fail(unsupported_param(row.name, fmt::format("{} with this value is not supported: {}", row.name, row.advice)));
}

}  // namespace

void reject_unsupported(Endpoint endpoint, Fields* fields) {
  for (const Row& row : kBoth) check(row, fields);
  if (endpoint == Endpoint::kChat) {
    for (const Row& row : kChatOnly) check(row, fields);
  } else {
    for (const Row& row : kCompletionOnly) check(row, fields);
  }
}

}  // namespace weir::api
