#include "api/response.h"

#include "api/json_out.h"
#include "api/response_chat.h"
#include "api/response_completion.h"

namespace weir::api {
namespace {

// Names, braces, an index, a reason: of a choice in a body or of an event; names and numbers of the usage.
constexpr size_t kChoiceFrameBytes = 256;
constexpr size_t kUsageBytesMax = 512;

void append_usage(const Usage& usage, std::string* out) {
  out->append(R"("usage":{"prompt_tokens":)");
  append_integer(usage.prompt_tokens, out);
  out->append(R"(,"completion_tokens":)");
  append_integer(usage.completion_tokens, out);
  out->append(R"(,"total_tokens":)");
  append_integer(usage.prompt_tokens + usage.completion_tokens, out);
  out->append(R"(,"prompt_tokens_details":{"cached_tokens":)");
  append_integer(usage.cached_tokens, out);
  out->append("}}");
}

}  // namespace

ResponseFormat::ResponseFormat(std::string_view object, std::string_view chunk_object, const ResponseIdentity& identity)
    : with_logprobs_(identity.with_logprobs),
      body_head_(head(object, identity)),
      event_head_("data: " + head(chunk_object, identity)),
      event_tail_(identity.with_usage ? "],\"usage\":null}\n\n" : "]}\n\n"),
      with_usage_(identity.with_usage) {}

std::unique_ptr<ResponseFormat> ResponseFormat::create(Endpoint endpoint, const ResponseIdentity& identity) {
  if (endpoint == Endpoint::kChat) return std::make_unique<ChatFormat>(identity);
  return std::make_unique<CompletionFormat>(identity);
}

std::string ResponseFormat::head(std::string_view object, const ResponseIdentity& identity) const {
  std::string out = R"({"id":)";
  append_json_string(identity.id, &out);
  out.append(R"(,"object":)");
  append_json_string(object, &out);
  out.append(R"(,"created":)");
  append_integer(identity.created, &out);
  out.append(R"(,"model":)");
  append_json_string(identity.model, &out);
  out.append(R"(,"choices":[)");
  return out;
}

void ResponseFormat::open_event(int index, std::string* out) const {
  out->append(event_head_);
  out->append(R"({"index":)");
  append_integer(index, out);
  out->push_back(',');
}

void ResponseFormat::close_event(std::string* out) const { out->append(event_tail_); }

void ResponseFormat::end_of_stream(const Usage& usage, std::string* out) const {
  if (with_usage_) {
    out->append(event_head_);
    out->append("],");
    append_usage(usage, out);
    out->append("}\n\n");
  }
  out->append("data: [DONE]\n\n");
}

size_t ResponseFormat::chunks_bytes_max(std::string_view text, const LogprobText& logprobs) const {
  return 3 * (event_head_.size() + event_tail_.size() + kChoiceFrameBytes) + json_string_bytes(text) + logprobs.bytes();
}

size_t ResponseFormat::end_bytes_max() const { return event_head_.size() + kUsageBytesMax; }

size_t ResponseFormat::body_bytes_max(std::span<const FinishedChoice> choices) const {
  size_t bytes = body_head_.size() + kUsageBytesMax;
  for (const FinishedChoice& choice : choices) {
    bytes += json_string_bytes(choice.text) + choice.logprobs->bytes() + kChoiceFrameBytes;
  }
  return bytes;
}

std::string ResponseFormat::body(std::span<const FinishedChoice> choices, const Usage& usage) const {
  std::string out;
  out.reserve(body_bytes_max(choices));
  out.append(body_head_);
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) out.push_back(',');
    append_choice(static_cast<int>(i), choices[i], &out);
  }
  out.append("],");
  append_usage(usage, &out);
  out.push_back('}');
  return out;
}

}  // namespace weir::api
