// One compiled regular expression (PCRE2 with JIT) for the patterns that have no scanner of their own.
//
// Owner: text room. Immutable after compile; any thread may search. Bounds: the pattern's length, a match limit
// for each start, and a deadline for a whole search, so that a hostile pattern costs seconds, never forever.
// Syntax is PCRE2's; what means something else in the files' own engine (class intersection &&) is refused.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/pretokenizer_scan.h"

namespace weir {

class Regex {
 public:
  // ERRORS: kDataLoss (does not compile), kUnimplemented (too long, or syntax that would change meaning).
  static Result<Regex> compile(std::string_view pattern);
  static Result<Regex> literal(std::string_view text);  // matches exactly this text

  // Appends the leftmost matches in order, not overlapping. An empty match counts unless it touches the match
  // before it. REQUIRES: valid UTF-8. ERRORS: kInvalidArgument when the limits above are reached.
  Status find_all(std::string_view text, std::vector<Span>* matches) const;

  struct Code;

 private:
  std::shared_ptr<const Code> code_;  // shared so that specs with a pattern stay copyable; never written
};

}  // namespace weir
