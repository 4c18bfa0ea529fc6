// Logprobs as JSON, written token by token as they arrive, so that a long answer with logprobs never exists twice.
//
// Pure functions on the io thread. Token texts that are not UTF-8 by themselves (a piece of a character) are shown
// with U+FFFD in chat, whose "bytes" carry the truth, and as "bytes:\xNN..." in completions, which have no such field.
#pragma once

#include <cstdint>
#include <string>

#include "message/events.h"

namespace weir {
class Tokenizer;
}

namespace weir::api {

// JSON array elements without the brackets, ready to be joined into a chunk or a body.
struct LogprobText {
  std::string entries;  // chat: objects; completions: token texts
  std::string numbers, tops, offsets;  // completions alone

  bool empty() const { return entries.empty(); }
  void clear();
};

void append_chat_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out);
// offset: code points of the answer (and echo) before this token.
void append_completion_logprob(const Tokenizer& tokenizer, const TokenEvent& event, int64_t offset, LogprobText* out);

}  // namespace weir::api
