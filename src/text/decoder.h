// The decoder: ids back to text, as a chain of stages that each take token texts and pass token texts on. The
// same chain serves the whole decode and the stream, so the two cannot differ.
//
// Owner: DecoderChain is part of the tokeniser (immutable, any thread); DecoderState belongs to one sequence.
// What a stage may have to hold back: an unfinished UTF-8 character, a run of byte-fallback tokens (valid only
// as a whole), one token (BPEDecoder), or spaces that Strip may have to drop.
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

 private:
  struct Stage {
    std::string held;   // of the current token, or a character that may still complete
    std::string run;    // of tokens before it
    uint32_t tokens = 0;  // finished so far
    uint32_t count = 0;   // characters stripped from the current token so far
    bool past_start = false;
  };

  void push(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_whole(size_t stage, std::string_view token, std::string* out);
  void push_byte_level(size_t stage, std::string_view token, std::string* out);
  void push_byte_fallback(size_t stage, std::string_view token, std::string* out);
  void push_strip(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_metaspace(size_t stage, std::string_view chunk, bool last, std::string* out);
  void push_bpe(size_t stage, std::string_view token, bool final, std::string* out);
  void flush_run(size_t stage, std::string* out);
  void flush(size_t stage, std::string* out);

  const DecoderChain* chain_;
  std::vector<Stage> stages_;
};

class DecoderChain {
 public:
  DecoderChain() = default;
  explicit DecoderChain(std::vector<DecoderSpec> stages) : stages_(std::move(stages)) {}

  const std::vector<DecoderSpec>& stages() const { return stages_; }

  // The bytes a token adds to the text in the middle of a sequence: single bytes for byte-fallback tokens,
  // possibly half a character for byte-level ones.
  std::string bytes_of(std::string_view token) const;

 private:
  std::vector<DecoderSpec> stages_;
};

}  // namespace weir
