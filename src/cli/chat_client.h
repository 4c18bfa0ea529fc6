// chat_client: asks a weir (or any OpenAI-like) server for one streamed answer at a time.
//
// Thread: the caller's; blocks. A refusal with Retry-After is shown and tried once more after the pause.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "cli/chat_session.h"
#include "load/sse_client.h"

namespace weir {

struct ChatTarget {
  ServerAddress server;
  std::string api_key;
  std::string model;  // as the server calls it
  ChatSampling sampling;
  const std::atomic<bool>* stop = nullptr;         // true: end the answer, keep what came
  std::function<void(const std::string&)> notice;  // one line for the user, without a newline
};

// ERRORS: those of http_call(), and the server's own words for an error status.
Result<std::string> ask_model_name(const ChatTarget& target);
Result<Answer> ask_server(const ChatTarget& target, const std::vector<ChatMessage>& messages,
                          const std::function<void(std::string_view)>& piece);

// "7" -> 7000, at least 1 s, at most 120 s; anything else (a date, nothing) -> 1 s.
int64_t retry_pause_ms(const std::string& retry_after);

}  // namespace weir
