// POST /v1/chat/completions: body to GenerateRequest, messages to the context that the template sees. Private to .cc
// files (boost). Pure; io thread.
//
// Content parts of type "text" are joined with line breaks into one string, tool calls' arguments become objects,
// "developer" becomes "system": the shapes that chat templates are written for.
#pragma once

#include "api/params.h"

namespace weir::api {

struct ChatTokens {
  std::string bos, eos;  // as text
};

// REQUIRES: request->params holds the defaults. ERRORS: stick in fields.
void parse_chat(const ParamLimits& limits, const ChatTokens& tokens, Fields* fields, GenerateRequest* request);

// The template's context alone, for /tokenize. REQUIRES: fields->has("messages").
std::string chat_context(const ChatTokens& tokens, Fields* fields);

}  // namespace weir::api
