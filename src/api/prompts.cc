#include "api/prompts.h"

#include <algorithm>

#include <fmt/format.h>

#include "api/host_bytes.h"
#include "api/text_work.h"
#include "text/added_tokens.h"
#include "text/chat_template.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace weir::api {
namespace {

// The tokeniser and the template report what they could not do with the client's text; only a bug is our fault.
ApiError client_error(const Status& status, std::string_view param) {
  if (status.code() == Code::kInternal) return {.status = status};
  if (!status.reason().empty()) return {.status = status, .param = std::string(param)};
  return bad_param(std::string(param), status.message());
}

// The highest ids of a tokeniser may have no row in the model.
bool all_known(const std::vector<int32_t>& ids, int32_t vocab_size) {
  return std::all_of(ids.begin(), ids.end(), [&](int32_t id) { return id >= 0 && id < vocab_size; });
}

ApiError over_context(int64_t prompt, int64_t answer, std::string_view name, int64_t session) {
  return {.status = {Code::kInvalidArgument,
                     fmt::format("the prompt has {} tokens and {} asks for {}, together {}, but the context length is {}; "
                                 "shorten the prompt or lower {}",
                                 prompt, name, answer, prompt + answer, session, name),
                     refusal_name(Refusal::kPromptTooLong)},
          .param = std::string(name)};
}

// Where the prompt alone does not fit, the front door says so; here max_tokens is judged against what is left.
// An absent max_tokens reserves nothing: it is only the bound at which the engine would stop anyway.
std::variant<int32_t, ApiError> answer_tokens(const GenerateRequest& r, int64_t prompt, const ApiContext& context) {
  const int64_t session = context.session_tokens;
  const int64_t left = std::max<int64_t>(1, session - prompt);
  const bool fits = prompt < session;
  if (fits && r.max_tokens && *r.max_tokens > left) return over_context(prompt, *r.max_tokens, r.max_tokens_field, session);
  if (fits && r.params.min_tokens > left) return over_context(prompt, r.params.min_tokens, "min_tokens", session);
  if (r.max_tokens) return static_cast<int32_t>(std::min(*r.max_tokens, left));
  if (r.endpoint == Endpoint::kCompletion) return static_cast<int32_t>(std::min(kCompletionTokensDefault, left));
  const int64_t proposed = context.chat_tokens_default;
  const int64_t most =
      proposed > 0 ? std::max<int64_t>(proposed, r.params.min_tokens) : std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(std::min(left, most));
}

std::variant<PromptTokens, ApiError> finish_prompt(const ApiContext& context, const GenerateRequest& r,
                                                   std::vector<int32_t> ids, std::string echo) {
  const char* param = r.endpoint == Endpoint::kChat ? "messages" : "prompt";
  if (ids.empty()) return bad_param(param, std::string(param) + " gives no tokens; send at least one character");
  if (!all_known(ids, context.vocab_size)) {
    return bad_param(param, std::string(param) + " contains a token that this model has no embedding for");
  }
  auto most = answer_tokens(r, static_cast<int64_t>(ids.size()), context);
  if (auto* error = std::get_if<ApiError>(&most)) return std::move(*error);
  return PromptTokens{.ids = std::move(ids), .echo = std::move(echo), .max_tokens = std::get<int32_t>(most)};
}

// No token stands for more than token_bytes_max bytes, so a text this long cannot fit whatever its tokens are: it is
// refused before it costs the time and memory of tokenising it.
Status check_text_size(const ApiContext& context, size_t bytes) {
  if (context.token_bytes_max == 0 || bytes / context.token_bytes_max < static_cast<size_t>(context.session_tokens)) {
    return ok_status();
  }
  return {Code::kInvalidArgument,
          fmt::format("the prompt of {} bytes has at least {} tokens and the context length is {}; shorten the prompt", bytes,
                      bytes / context.token_bytes_max, context.session_tokens),
          refusal_name(Refusal::kPromptTooLong)};
}

ApiError hidden_part(const HiddenPart& hidden) {
  const std::string param = fmt::format("messages[{}].{}", hidden.message, hidden.part);
  return bad_param(param,
                   param + " cannot be shown: the chat template of this model would leave it out of the prompt");
}

// What an answer behind these ids goes on with: a character that they only begin is the answer's.
std::string text_so_far(const ApiContext& context, const std::vector<int32_t>& ids, bool skip_special_tokens) {
  Detokenizer detokenizer(context.tokenizer, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) detokenizer.add(id, &text);
  return text;
}

std::variant<PromptTokens, ApiError> completion_prompt(const ApiContext& context, const GenerateRequest& r,
                                                       Prompt* prompt) {
  if (prompt->is_tokens) {
    std::string echo = r.echo ? text_so_far(context, prompt->tokens, r.skip_special_tokens) : std::string();
    return finish_prompt(context, r, std::move(prompt->tokens), std::move(echo));
  }
  if (Status size = check_text_size(context, prompt->text.size()); !size.ok()) return ApiError{.status = size, .param = "prompt"};
  auto ids = context.tokenizer->encode(prompt->text, r.add_special_tokens);
  if (!ids.ok()) return client_error(ids.status(), "prompt");
  return finish_prompt(context, r, std::move(*ids), r.echo ? std::move(prompt->text) : std::string());
}

std::variant<PromptTokens, ApiError> chat_prompt(const ApiContext& context, GenerateRequest* r, Charge* kept) {
  auto ids = encode_chat(context, r->context_json,
                         {.open = r->continues_message,
                          .add_special_tokens = r->add_special_tokens,
                          .parse_special = context.parse_special_in_content,
                          .work_bytes = r->work_bytes},
                         kept);
  std::string().swap(r->context_json);
  if (auto* error = std::get_if<ApiError>(&ids)) return std::move(*error);
  return finish_prompt(context, *r, std::move(std::get<std::vector<int32_t>>(ids)), {});
}

// The prompts of a request with the charge for what they keep.
class PromptList {
 public:
  PromptList(const ApiContext& context, Charge* kept) : context_(context), kept_(kept) {}

  // make: gives the prompt. text_bytes: what it is made from; no text has more tokens than bytes, but for the few that
  // mark its ends.
  template <class Make>
  std::optional<ApiError> add(size_t text_bytes, Make make) {
    constexpr uint64_t kEndTokens = 16;
    const uint64_t tokens = std::min(static_cast<uint64_t>(context_.session_tokens), text_bytes + kEndTokens);
    const uint64_t before = kept_->bytes();
    if (auto error = settle(before + kPromptFixedBytes + tokens * sizeof(int32_t))) return error;
    std::variant<PromptTokens, ApiError> made = make();
    if (auto* error = std::get_if<ApiError>(&made)) return std::move(*error);
    const PromptTokens& prompt = prompts_.emplace_back(std::move(std::get<PromptTokens>(made)));
    return settle(before + kPromptFixedBytes + prompt.ids.capacity() * sizeof(int32_t) + text_bytes_of(prompt.echo));
  }
  std::vector<PromptTokens> take() { return std::move(prompts_); }

 private:
  // The prompt here, and what admission makes of it: a RequestSpec and its place in lists, some of them doubling.
  static constexpr uint64_t kPromptFixedBytes = 2 * sizeof(PromptTokens) + sizeof(RequestSpec) + 64;
  static uint64_t text_bytes_of(const std::string& text) { return weir::text_bytes(text); }
  std::optional<ApiError> settle(uint64_t bytes) {
    const Grant grant = kept_->try_settle(bytes);
    if (grant == Grant::kYes) return {};
    return host_refusal(grant, HostMoment::kBeforeWork, *kept_->account());
  }

  const ApiContext& context_;
  Charge* const kept_;
  std::vector<PromptTokens> prompts_;
};

// A template that needs more than this for a body whose bytes are planned is not worth waiting for.
size_t render_bytes_max(uint64_t work_bytes) {
  return std::min<uint64_t>(work_bytes, ChatTemplate::kRenderBytesMax);
}

}  // namespace

uint64_t tokenising_beyond(size_t text_bytes, uint64_t work_bytes) {
  const uint64_t needed = kTokenisingFactor * text_bytes;
  return needed - std::min(needed, work_bytes);
}

std::variant<std::vector<int32_t>, ApiError> encode_chat(const ApiContext& context, const std::string& context_json,
                                                         const ChatEncoding& encoding, Charge* beyond) {
  if (context.chat_template == nullptr) {
    return bad_param(
        "messages",
        "this model has no chat template; use /v1/completions or start the server with --chat-template");
  }
  const auto chat =
      context.chat_template->render_chat(context_json, encoding.open, render_bytes_max(encoding.work_bytes));
  if (!chat.ok()) return client_error(chat.status(), "messages");
  if (chat->hidden) return hidden_part(*chat->hidden);
  const AuthoredText& prompt = chat->prompt;
  if (Status size = check_text_size(context, prompt.text.size()); !size.ok()) return client_error(size, "messages");
  const uint64_t more = tokenising_beyond(prompt.text.size(), encoding.work_bytes);
  if (const Grant grant = beyond->try_grow(more); grant != Grant::kYes) {
    return host_refusal(grant, HostMoment::kBeforeWork, *beyond->account());
  }
  SpecialRule rule;
  if (!encoding.parse_special) rule = {.authored = &prompt.authored, .turn_tokens = &context.turn_tokens};
  auto ids = context.tokenizer->encode(prompt.text, encoding.add_special_tokens, rule);
  beyond->shrink(more);
  if (!ids.ok()) return client_error(ids.status(), "messages");
  return std::move(*ids);
}

PromptsOrError make_prompts(const ApiContext& context, GenerateRequest* r, Charge* kept) {
  PromptList list(context, kept);
  if (r->endpoint == Endpoint::kChat) {
    if (auto error = list.add(r->context_json.size(), [&] { return chat_prompt(context, r, kept); }))
      return std::move(*error);
  }
  for (Prompt& prompt : r->prompts) {
    const size_t bytes = prompt.is_tokens ? prompt.tokens.size() : prompt.text.size();
    if (auto error = list.add(bytes, [&] { return completion_prompt(context, *r, &prompt); })) return std::move(*error);
  }
  std::vector<Prompt>().swap(r->prompts);
  return list.take();
}

}  // namespace weir::api
