// The tokeniser: text into token ids and back, as the files of a model repository describe it. Results are those
// of the Hugging Face `tokenizers` library, which models are trained with; tests/python/test_tokenizers.py
// compares the two.
//
// Owner: whoever loaded it; it must outlive its Detokenizers. Immutable after load: any thread may call any const
// method, concurrently. Bounds: files of kTokenizerFileBytesMax, ids up to kTokenIdMax, texts below 1 GiB, and
// time n log n in the text. Truncation and padding written in a file are ignored: lengths are the server's affair.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir {

class DecoderChain;
struct SpecialRule;  // text/added_tokens.h
struct TokenizerSpec;

inline constexpr uint64_t kTokenizerFileBytesMax = uint64_t{256} << 20;

class Tokenizer {
 public:
  // ERRORS (all loaders): kNotFound (no such file), kTooLarge, kDataLoss (damaged file), kUnimplemented (a
  // component this build lacks; the message names it and what there is instead).
  static Result<std::unique_ptr<Tokenizer>> load(const std::string& tokenizer_json_path);
  static Result<std::unique_ptr<Tokenizer>> parse(std::string_view json);
  // A model repository: its tokenizer.json, else vocab.json + merges.txt with what tokenizer_config.json says.
  static Result<std::unique_ptr<Tokenizer>> load_dir(const std::string& model_dir);
  static Result<std::unique_ptr<Tokenizer>> build(TokenizerSpec spec);
  ~Tokenizer();

  // add_special_tokens: run the file's post-processor, which puts BOS and the like around the text.
  // parse_special: text that spells a special token becomes that token; when false it is encoded as ordinary
  // text. Added tokens that are not special match either way.
  // ERRORS: kInvalidArgument (not UTF-8, or a split pattern takes too long), kTooLarge (1 GiB or more).
  Result<std::vector<int32_t>> encode(std::string_view utf8, bool add_special_tokens, bool parse_special = true) const;
  // The same with a rule of the caller's: in a prompt, a control token is one only where the prompt's author wrote
  // all of its bytes. What a client spells is encoded as ordinary text, and neither hides nor completes a token
  // beside it.
  Result<std::vector<int32_t>> encode(std::string_view utf8, bool add_special_tokens,
                                      const SpecialRule& rule) const;

  // Ids that do not exist give nothing; bytes that are not UTF-8 give U+FFFD.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  int32_t vocab_size() const;  // highest id + 1, added tokens included
  std::optional<int32_t> token_to_id(std::string_view token) const;  // by the token's text in the file
  std::string_view id_to_token(int32_t id) const;                    // "" for holes; lives as long as this
  bool has_token(int32_t id) const;
  // Raw bytes this id contributes when decoded in the middle of a text; may be half a character.
  std::string token_bytes(int32_t id) const;
  bool is_special(int32_t id) const;
  bool is_added(int32_t id) const;  // one of the file's added tokens, special or not
  uint64_t memory_bytes() const;  // estimate of resident bytes, for the memory plan

  const DecoderChain& decoder_chain() const;  // for Detokenizer

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
