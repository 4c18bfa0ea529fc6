// Incremental detokeniser: one per sequence, fed one id at a time.
//
// Owner: the io thread that streams the sequence. Memory: under 400 bytes for the longest usual decoder chain,
// plus the text held back. It never gives out half a UTF-8 character, and never text that a later id could
// change: what all add() calls and finish() gave, joined, is decode() of all the ids.
//
// What is held back: usually nothing, or a character's first bytes. With byte-fallback vocabularies (Llama-2) a
// run of byte tokens is held until another token ends it, because one wrong byte makes all of the run U+FFFD.
#pragma once

#include <cstdint>
#include <string>

#include "text/decoder.h"

namespace weir {

class Tokenizer;

class Detokenizer {
 public:
  // tokenizer: outlives this. skip_special_tokens: special tokens give no text.
  explicit Detokenizer(const Tokenizer* tokenizer, bool skip_special_tokens = true);

  // Appends to *out the text that became final with this id. Ids that do not exist give nothing.
  void add(int32_t id, std::string* out);
  // Flushes what is held back. Nothing may be added afterwards.
  void finish(std::string* out);
  size_t held_bytes() const { return state_.held_bytes(); }  // of text that is held back

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  DecoderState state_;
};

}  // namespace weir
