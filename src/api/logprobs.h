// Logprobs as JSON, written token by token as they arrive, so that a long answer with logprobs never exists twice.
//
// Pure functions on the io thread. A token's text is what it adds to the answer where it stands, so that the texts
// joined are the answer, but for special tokens that are not shown in it. Token texts that are not UTF-8 by
// themselves (a piece of a character) are shown with U+FFFD in chat, whose "bytes" carry the truth, and as
// "bytes:\xNN..." in completions, which have no such field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "memory/ledger/ledger.h"
#include "message/events.h"

namespace weir {
class Detokenizer;
class Tokenizer;
}  // namespace weir

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

// detokenizer: that of the answer, before it is given this token.
void append_chat_logprob(const Detokenizer& detokenizer, const TokenEvent& event, LogprobText* out);
// offset: of the token in the answer (and echo). top_logprobs holds the likeliest as asked for, and the sampled
// one.
void append_completion_logprob(const Detokenizer& detokenizer, const TokenEvent& event, int64_t offset,
                               LogprobText* out);

// The first token of a text, which has no logprob. REQUIRES: *out is empty, with room for the token.
void append_unscored_token(const Detokenizer& detokenizer, int32_t token, LogprobText* out);

// Where tokens begin in the text, in characters. Counted from the bytes of the tokens, not from what a detokeniser
// has given out so far, which may lag behind.
class TextOffset {
 public:
  // characters: of the text before. unfinished: bytes of a character that it ends with, and that may still
  // complete.
  explicit TextOffset(int64_t characters = 0, std::string_view unfinished = {})
      : characters_(characters), unfinished_(unfinished) {}
  // RETURNS: the offset of a token with these bytes: of its first character, or of the one that it goes on with.
  int64_t add(std::string_view bytes);
  int64_t now() const { return characters_; }  // of whole characters

 private:
  int64_t characters_;
  std::string unfinished_;
};

}  // namespace weir::api
