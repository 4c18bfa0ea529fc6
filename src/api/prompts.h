// From a validated request to token ids: template, tokeniser, length check. Pure; runs on the text pool.
#pragma once

#include <variant>
#include <vector>

#include "api/api.h"
#include "api/error.h"
#include "api/generate_request.h"
#include "memory/ledger/ledger.h"

namespace weir::api {

struct PromptTokens {
  std::vector<int32_t> ids;  // not empty
  std::string echo;          // text that stands before the answer; empty unless asked for
  int32_t max_tokens = 1;    // what this prompt's answers may have at most; 0: they are the prompt alone
};

// Everything a request asks of the engine, or why it cannot be had.
using PromptsOrError = std::variant<std::vector<PromptTokens>, ApiError>;

// What the results keep is charged to *kept before a prompt is tokenised, as far as that can be known, and settled before
// the next one is begun. MODIFIES: request; its prompts are moved out, its context is dropped.
PromptsOrError make_prompts(const ApiContext& context, GenerateRequest* request, Charge* kept);

struct ChatEncoding {
  bool open = false;                // the last message is to be continued
  bool add_special_tokens = false;  // what the tokeniser itself puts around a text
  bool parse_special = false;       // also what a client spells like a control token becomes one
  uint64_t work_bytes = 0;          // what the plan has for it (text_work.h)
};

// One chat rendered and tokenised, or a 400 that names the message which the template refuses or leaves out, or the
// ledger's refusal: what the tokeniser needs beyond encoding.work_bytes is charged to *beyond meanwhile.
std::variant<std::vector<int32_t>, ApiError> encode_chat(const ApiContext& context, const std::string& context_json,
                                                         const ChatEncoding& encoding, Charge* beyond);
// What tokenising such a text takes beyond work_bytes.
uint64_t tokenising_beyond(size_t text_bytes, uint64_t work_bytes);

}  // namespace weir::api
