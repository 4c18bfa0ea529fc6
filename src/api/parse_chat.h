// POST /v1/chat/completions: body to GenerateRequest, messages to the context that the template sees. Private to
// .cc files (boost). Pure; io thread.
//
// Content parts of type "text" are joined with line breaks into one string, "developer" becomes "system", an empty
// list of tool calls and an empty content beside calls become none at all. Everything else stays as it was sent:
// which form the model's template wants is text/'s affair (TemplateTraits), and arguments are not parsed here.
#pragma once

#include "api/params.h"

namespace weir::api {

struct ChatTokens {
  std::string bos, eos;  // as text
};

struct ChatInput {
  std::string context_json;
  bool open = false;  // the last message is to be continued
};

// REQUIRES: request->params holds the defaults. ERRORS: stick in fields.
void parse_chat(const ParamLimits& limits, const ChatTokens& tokens, Fields* fields, GenerateRequest* request);

// The template's context alone, for /tokenize too. REQUIRES: fields->has("messages").
ChatInput chat_input(const ChatTokens& tokens, Fields* fields);

}  // namespace weir::api
