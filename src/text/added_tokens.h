// Added tokens: strings such as <|im_start|> that are found in the text before (or after) normalisation and never
// reach the model's merges.
//
// Owner: text room. Immutable after construction; any thread. Leftmost match first, and of those the longest.
// Time is the text times the longest shared beginning, which kAddedTokenBytesMax bounds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/authored.h"
#include "text/tokenizer_spec.h"

namespace weir {

// A stretch of text: an added token, or (id -1) text between them.
struct Segment {
  uint32_t begin;
  uint32_t end;
  int32_t id;
};

// Which control tokens of a text are tokens, and not text that spells one. Control tokens are the special ones and
// those that the caller names; other added tokens match anyway.
struct SpecialRule {
  bool parse = true;                                  // false: no control token is
  const Authored* authored = nullptr;                 // not null: only those that the author wrote whole
  const std::vector<int32_t>* turn_tokens = nullptr;  // ids that are control tokens too, sorted; may be null

  bool is_control(const AddedTokenSpec& token) const {
    return token.special ||
           (turn_tokens != nullptr && std::binary_search(turn_tokens->begin(), turn_tokens->end(), token.id));
  }
  bool allows(size_t begin, size_t end) const {
    return parse && (authored == nullptr || authored->covers(begin, end));
  }
  // Where the search goes on behind a match [begin, end) that is not allowed: what a client spells must not swallow
  // the beginning of a token that the author wrote.
  size_t resume(size_t begin, size_t end) const {
    return authored == nullptr ? end : std::min(end, authored->next_begin(begin + 1, end));
  }
};

// A trie over the contents of one set of added tokens.
class TokenTrie {
 public:
  struct Entry {
    std::string content;
    uint32_t value;
  };
  TokenTrie() = default;
  explicit TokenTrie(std::vector<Entry> entries);

  bool empty() const { return nodes_.empty(); }
  // The longest entry that starts at `from`. RETURNS: its length in bytes, 0 if none; *value is set if found.
  size_t longest_at(std::string_view text, size_t from, uint32_t* value) const;
  // First position at or after `from` where an entry could start; text.size() if none.
  size_t next_candidate(std::string_view text, size_t from) const;
  uint64_t memory_bytes() const;

 private:
  static constexpr uint32_t kNoValue = UINT32_MAX;
  struct Node {
    uint32_t edges_begin = 0;
    uint32_t edges_count = 0;
    uint32_t value = kNoValue;
  };
  struct Edge {
    uint8_t byte;
    uint32_t node;
  };
  uint32_t build(const std::vector<Entry>& entries, size_t begin, size_t end, size_t depth);

  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::array<bool, 256> starts_{};
};

class AddedTokens {
 public:
  AddedTokens() = default;
  // normalized_contents: for each token, its content after the file's normaliser (used where normalized is set).
  AddedTokens(std::vector<AddedTokenSpec> tokens, const std::vector<std::string>& normalized_contents);

  const AddedTokenSpec* find(int32_t id) const;             // null if no added token has this id
  const AddedTokenSpec* find(std::string_view content) const;
  const std::vector<AddedTokenSpec>& tokens() const { return tokens_; }

  // Cuts raw text at the tokens that are matched before normalisation.
  void cut_raw(std::string_view text, const SpecialRule& rule, std::vector<Segment>* segments) const {
    cut(raw_, text, rule, segments);
  }
  // The same for normalised text and the tokens that are matched after it.
  void cut_normalized(std::string_view text, const SpecialRule& rule, std::vector<Segment>* segments) const {
    cut(normalized_, text, rule, segments);
  }
  bool any_normalized() const { return !spelled_.empty(); }
  // For tokens that are matched after normalising, when places in the text are no longer those of the author's
  // stretches: puts `guard` into each control token that a client spells. RETURNS: how many are spelled by the
  // author.
  size_t guard_spelled(std::string_view raw, const SpecialRule& rule, std::string_view guard,
                       std::string* out) const;
  // RETURNS: how many of the segments are control tokens.
  size_t count_control(const std::vector<Segment>& segments, const SpecialRule& rule) const;
  uint64_t memory_bytes() const;

 private:
  void cut(const TokenTrie& trie, std::string_view text, const SpecialRule& rule,
           std::vector<Segment>* segments) const;

  std::vector<AddedTokenSpec> tokens_;
  std::unordered_map<int32_t, uint32_t> by_id_;
  std::unordered_map<std::string_view, uint32_t> by_content_;  // views into tokens_, which is never resized
  TokenTrie raw_;
  TokenTrie normalized_;
  TokenTrie spelled_;  // the tokens of normalized_ as the file spells them
};

}  // namespace weir
