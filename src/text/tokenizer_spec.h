// What a tokenizer file says, as plain data: the meeting point of the readers (tokenizer_json.cc,
// tokenizer_dir.cc) and the machinery (normalizer, pretokenizer, BPE, decoder). Sequences are flattened, because
// a sequence of sequences means the same as one long sequence.
//
// Owner: text room, during load only; one thread. Bounded by the limits below.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/pretokenizer_scan.h"
#include "text/tokenizer_regex.h"

namespace weir {

inline constexpr int64_t kTokenIdMax = (int64_t{4} << 20) - 1;  // no published vocabulary is near 4 Mi entries
inline constexpr size_t kAddedTokenBytesMax = 1024;
inline constexpr size_t kComponentsMax = 64;         // of one kind, after flattening
inline constexpr size_t kComponentTextBytesMax = 1024;  // a replacement, a prefix, a suffix

struct NormalizerSpec {
  enum class Kind {
    kPrepend, kReplace, kNfc, kNfd, kNfkc, kNfkd, kLowercase, kStrip, kStripAccents, kByteLevel
  };
  Kind kind;
  std::string text;            // what kPrepend and kReplace put in
  std::optional<Regex> regex;  // kReplace
  bool left = true;            // kStrip
  bool right = true;
};

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme { kFirst, kNever, kAlways };

struct PretokenizerSpec {
  enum class Kind { kSplit, kScan, kByteLevel, kDigits, kWhitespace, kWhitespaceSplit, kPunctuation, kMetaspace };
  Kind kind;
  SplitBehavior behavior = SplitBehavior::kIsolated;  // kSplit, kPunctuation
  std::optional<Regex> regex;                         // kSplit
  ScanPattern scan = ScanPattern::kGpt2;              // kScan: an isolating kSplit whose pattern has a scanner
  bool invert = false;                                // kSplit
  bool add_prefix_space = true;                       // kByteLevel
  bool use_regex = true;                              // kByteLevel
  bool individual_digits = false;                     // kDigits
  std::string replacement = "\xE2\x96\x81";           // kMetaspace: one character
  PrependScheme prepend = PrependScheme::kAlways;     // kMetaspace
  bool split = true;                                  // kMetaspace
};

struct DecoderSpec {
  enum class Kind { kByteLevel, kByteFallback, kFuse, kReplace, kStrip, kMetaspace, kBpe, kJoinWithSpaces };
  Kind kind;
  std::string text;            // kReplace: what to put in; kStrip, kMetaspace: the character; kBpe: the suffix
  std::optional<Regex> regex;  // kReplace
  std::string literal;         // kReplace: the text that the pattern stands for, where it is no more than a text
  uint32_t start = 0;          // kStrip: how many characters at most
  uint32_t stop = 0;
  PrependScheme prepend = PrependScheme::kAlways;  // kMetaspace
};

// Ids put before and after the text; several templates apply one after the other. `copies` is how often the
// text itself stands in the template: 1 in every sane file.
struct TemplateSpec {
  struct Piece {
    bool is_text;
    std::vector<int32_t> ids;
  };
  std::vector<Piece> pieces;
};

struct AddedTokenSpec {
  int32_t id;
  std::string content;
  bool special = false;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = true;
};

struct BpeSpec {
  std::vector<std::pair<std::string, int32_t>> vocab;  // ids 0..kTokenIdMax, each at most once
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::optional<std::string> unk_token;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

struct TokenizerSpec {
  BpeSpec model;
  std::vector<AddedTokenSpec> added;
  std::vector<NormalizerSpec> normalizers;
  std::vector<PretokenizerSpec> pretokenizers;
  std::vector<DecoderSpec> decoders;
  std::vector<TemplateSpec> templates;
};

}  // namespace weir
