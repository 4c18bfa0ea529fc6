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
  int32_t max_tokens = 1;    // what this prompt's answers may have at most
};

// Everything a request asks of the engine, or why it cannot be had.
using PromptsOrError = std::variant<std::vector<PromptTokens>, ApiError>;

// Tokenising a text of b bytes needs so many times b while it lasts (symbols, offsets, ids); the plan's line "parsing" has
// room for one text that a session can hold.
inline constexpr uint64_t kTokenisingFactor = 24;

// What the results keep is charged to *kept before a prompt is tokenised, as far as that can be known, and settled before
// the next one is begun. MODIFIES: request; its prompts are moved out, its context is dropped.
PromptsOrError make_prompts(const ApiContext& context, GenerateRequest* request, Charge* kept);

struct ChatEncoding {
  bool open = false;                 // the last message is to be continued
  bool add_special_tokens = false;   // what the tokeniser itself puts around a text
  bool parse_special = false;        // also what a client spells like a control token becomes one
};

// One chat rendered and tokenised, or a 400 that names the message which the template refuses or leaves out.
std::variant<std::vector<int32_t>, ApiError> encode_chat(const ApiContext& context, const std::string& context_json,
                                                         const ChatEncoding& encoding);

}  // namespace weir::api
