// The decoder: ids back to text, as a chain of stages that each take token texts and pass token texts on. The
// same chain serves the whole decode and the stream, so the two cannot differ.
//
// Owner: DecoderChain is part of the tokeniser (immutable, any thread); DecoderState belongs to one sequence.
// What a stage may have to hold back: an unfinished UTF-8 character (at most 3 bytes), what may become the text
// that Replace looks for, a token from its word-end suffix on (BPEDecoder), or spaces that Strip may have to drop.
// A Replace by a pattern behind Fuse holds everything: a pattern may look at the whole text.
//
// Bytes that are not UTF-8, of byte-level and of byte-fallback tokens alike, become one U+FFFD for each maximal
// invalid part. The library's ByteFallback spoils the whole run of byte tokens instead, which no stream can know in
// time (docs/decisions/streaming-text.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_spec.h"

namespace weir {

class DecoderChain;

class DecoderState {
 public:
  explicit DecoderState(const DecoderChain* chain);

  void add(std::string_view token, std::string* out);
  void finish(std::string* out);
  size_t held_bytes() const;  // of text that is held back
  bool at_start() const { return at_start_; }  // no token was added yet
  std::string_view unfinished() const;         // bytes of a character that may still complete, at most 3

 private:
  struct Stage {
    std::string held;     // of the current token: what must wait for more of it
    std::string run;      // an unfinished character; of the token before (kBpe)
    uint32_t tokens = 0;  // finished so far
    uint32_t count = 0;   // characters stripped from the current token so far
    bool past_start = false;  // of the current token; a run of byte tokens or a token of kBpe is open
  };

  void push(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_whole(size_t stage, std::string_view token, std::string* out);
  void push_byte_level(size_t stage, std::string_view token, std::string* out);
  void push_byte_fallback(size_t stage, std::string_view token, std::string* out);
  void push_literal(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_strip(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_metaspace(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_bpe(size_t stage, std::string_view token, std::string* out);
  void end_bpe_token(size_t stage, bool final, std::string* out);
  void end_run(size_t stage, std::string* out);
  void flush(size_t stage, std::string* out);

  const DecoderChain* chain_;
  std::vector<Stage> stages_;
  bool at_start_ = true;
};

class DecoderChain {
 public:
  DecoderChain() = default;
  explicit DecoderChain(std::vector<DecoderSpec> stages) : stages_(std::move(stages)) {}

  const std::vector<DecoderSpec>& stages() const { return stages_; }

  // The bytes a token adds to the text: single bytes for byte-fallback tokens, possibly half a character for
  // byte-level ones. at_start: it is the first of its text, which may lose a leading blank. The bytes of all tokens
  // joined, with U+FFFD for what is not UTF-8, are the text, but for what the end of the text takes away.
  std::string bytes_of(std::string_view token, bool at_start = false) const;

 private:
  std::vector<DecoderSpec> stages_;
};

}  // namespace weir
