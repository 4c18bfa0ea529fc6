// chat_protocol: the JSON of /v1/chat/completions as `weir chat` needs it: a history out, pieces of an answer in.
//
// Pure functions, any thread. The server is not trusted: a field that is missing or of another type is an error or
// is left out, never a crash.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

struct ChatMessage {
  std::string role;  // system | user | assistant
  std::string content;
  bool operator==(const ChatMessage&) const = default;
};

struct ChatSampling {
  double temperature = -1;  // below 0: the server's default
  int64_t max_tokens = 0;   // 0: the server's default
};

// The body of a streamed request that also asks for token counts. Bytes that are not UTF-8 become U+FFFD.
std::string chat_request_json(const std::string& model, const std::vector<ChatMessage>& messages,
                              const ChatSampling& sampling);

struct ChatPiece {
  std::string text;            // may be empty
  std::string finish_reason;   // empty until the last piece
  int64_t output_tokens = -1;  // -1: not told in this piece
};

// data: of one event, not "[DONE]". ERRORS: kDataLoss for no JSON; kUnavailable with the server's own message for
// an error object.
Result<ChatPiece> parse_chat_piece(std::string_view data);

// RETURNS: error.message of an error body, else a shortened body, one line.
std::string error_text(int status, std::string_view body);

// The first model id of GET /v1/models. ERRORS: kDataLoss.
Result<std::string> first_model(std::string_view body);

std::string history_json(const std::vector<ChatMessage>& messages);  // indented; ends with a newline

}  // namespace weir
