// Byte-pair encoding: pieces of text into ids by merging, lowest rank first, leftmost on ties.
//
// Owner: text room. Immutable but for a memo of relaxed atomics; any thread, each with its own BpeScratch.
// Time: n log n in the length of one piece, so a megabyte without a single split point is safe.
// It never splits text by itself in a way that changes the result: a long piece is cut only where no merge of
// this vocabulary could ever join the two sides.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/bpe_merge.h"
#include "text/token_table.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"

namespace weir {

class BpeModel {
 public:
  // byte_level: pieces are raw bytes and the vocabulary is written in the byte-level alphabet.
  // ERRORS: kDataLoss (a merge names a token that the vocabulary lacks).
  static Result<std::unique_ptr<BpeModel>> build(const BpeSpec& spec, bool byte_level);

  // Appends the ids of one piece: bytes if byte_level, else valid UTF-8. RETURNS: false when a character is
  // unknown and the file's unk_token is not in its vocabulary either.
  bool encode(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const;

  const TokenTable& vocab() const { return vocab_; }
  uint64_t memory_bytes() const;

 private:
  BpeModel() = default;
  Status add_merges(const BpeSpec& spec);
  void index_bytes();
  void index_characters(const BpeSpec& spec);

  std::string_view stored_text(int32_t id) const { return byte_level_ ? raw_.text(id) : vocab_.text(id); }
  bool encode_segment(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const;
  bool encode_long(std::string_view piece, BpeScratch* scratch, std::vector<int32_t>* out) const;
  bool merges_to_itself(int32_t id, BpeScratch* scratch) const;
  bool add_symbols(std::string_view piece, std::vector<int32_t>* symbols) const;
  bool add_unknown(std::string_view character, int32_t* unknown, std::vector<int32_t>* symbols) const;
  int32_t char_id(CodePoint cp, const char* at) const;
  bool may_join(char32_t left, char32_t right) const;

  bool byte_level_ = false;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool has_unk_ = false;
  int32_t unk_id_ = -1;
  TokenTable vocab_;
  TokenTable raw_;  // byte_level: the same tokens as raw bytes
  MergeTable merges_;
  std::array<int32_t, 256> byte_ids_{};      // byte_level: the token of each byte, or -1
  std::array<int32_t, 256> fallback_ids_{};  // <0x00>..<0xFF>, or -1
  std::vector<int32_t> char_ids_;            // characters: the token of each below kCharIds, or -1
  MergeTable joins_;                         // characters: (last, first) of the two sides of every merge
  std::array<uint64_t, 256> ascii_joins_{};  // the same for ASCII on both sides: bits of 128 x 128
  // Per id: 0 not asked yet, 1 merging its text gives this id alone, 2 it does not.
  std::unique_ptr<std::atomic<uint8_t>[]> merges_to_itself_;
};

}  // namespace weir
