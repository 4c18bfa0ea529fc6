// Incremental detokeniser: one per sequence, fed one id at a time.
//
// Owner: the io thread that streams the sequence. Memory: under 400 bytes for the longest usual decoder chain,
// plus the text held back. It never gives out half a UTF-8 character, and never text that a later id could
// change: what all add() calls and finish() gave, joined, is decode() of all the ids.
//
// What is held back: usually nothing, or a character's first bytes (text/decoder.h). Every character is given out
// with the id that completes it, no later than the library's DecodeStream does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "text/decoder.h"

namespace weir {

class Tokenizer;

class Detokenizer {
 public:
  // tokenizer: outlives this. skip_special_tokens: special tokens give no text.
  explicit Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens = true);

  // What is added from now on continues the text of `ids`: a leading blank stays, a character that they began is
  // completed. Looks at the last few of them alone. REQUIRES: nothing was added yet.
  void follow(std::span<const int32_t> ids);
  // Appends to *out the text that became final with this id. Ids that do not exist give nothing.
  void add(int32_t id, std::string* out);
  // Flushes what is held back. Nothing may be added afterwards.
  void finish(std::string* out);
  size_t held_bytes() const { return state_.held_bytes(); }  // of text that is held back

  std::string_view unfinished() const {
    return state_.unfinished();
  }  // bytes of a character that may still complete

  bool hides(int32_t id) const;  // it is a special token, and those give no text
  // The bytes that the id adds to the text where it would be added now (DecoderChain::bytes_of); those of a hidden
  // id are what it would add if it were shown.
  std::string bytes_of(int32_t id) const;

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  DecoderState state_;
};

}  // namespace weir
