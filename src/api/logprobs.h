// Logprobs as JSON, written token by token as they arrive, so that a long answer with logprobs never exists twice.
//
// Pure functions on the io thread. Token texts that are not UTF-8 by themselves (a piece of a character) are shown
// with U+FFFD in chat, whose "bytes" carry the truth, and as "bytes:\xNN..." in completions, which have no such field.
#pragma once

#include <cstdint>
#include <string>

#include "memory/ledger/ledger.h"
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
  size_t bytes() const { return entries.size() + numbers.size() + tops.size() + offsets.size(); }
  void clear();
  void drop(Charge* charge);  // frees all and gives its bytes back
};

// Room for one more token, so that the function below it allocates nothing in *out. The bound is about three times what
// a token really takes, and matters only for the last one that fits.
[[nodiscard]] Grant room_for_chat_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out, Charge* charge);
[[nodiscard]] Grant room_for_completion_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out,
                                                Charge* charge);

void append_chat_logprob(const Tokenizer& tokenizer, const TokenEvent& event, LogprobText* out);
// offset: code points of the answer (and echo) before this token.
void append_completion_logprob(const Tokenizer& tokenizer, const TokenEvent& event, int64_t offset, LogprobText* out);

}  // namespace weir::api
