// StopMatcher: finds stop strings in text that arrives in pieces and holds back what might become one.
//
// Owner: one sequence, on its io thread. Cost: one automaton step per byte and stop string (Knuth-Morris-Pratt),
// two once text was hidden, so adversarial stop strings cost no more than others. Memory: the held-back text, less
// than the longest stop string, and as many bytes of notes about hidden text. The match that ends first wins, and
// of those that end together the longest, so the result does not depend on how the text was cut into pieces.
//
// Hidden text (special tokens that the client does not see) takes part in matching and is never given out. A stop
// string is found in the text as the client sees it and in the text with the hidden parts in their places,
// whichever ends first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::api {

// The stop strings of a request with their failure tables; shared by its sequences, read-only.
class StopSet {
 public:
  static constexpr size_t kStringBytesMax = 1024;

  explicit StopSet(std::vector<std::string> strings);  // none may be empty or longer than kStringBytesMax
  bool empty() const { return strings_.empty(); }
  uint64_t bytes() const;          // strings and tables on the heap
  uint64_t matcher_bytes() const;  // what each StopMatcher of it takes at most between two calls

 private:
  friend class StopMatcher;
  std::vector<std::string> strings_;
  std::vector<std::vector<int16_t>> borders_;  // [string][length]: longest proper prefix that is also a suffix
};

class StopMatcher {
 public:
  explicit StopMatcher(const StopSet* set);

  // Appends to *out what can no longer be part of a stop string. RETURNS: true when one was found; *out then ends
  // before it, and the matcher takes no more.
  bool feed(std::string_view text, std::string* out) { return feed(text, false, out); }
  // The same for text that the client does not see.
  bool feed_hidden(std::string_view text, std::string* out) { return feed(text, true, out); }
  void flush(std::string* out);  // no more text will come: what was held back is text
  bool found() const { return found_; }
  size_t held_bytes() const { return held_.size(); }

 private:
  using Lengths = std::vector<int16_t>;  // [string]: bytes of it that a text ends with
  struct Reached {
    size_t most = 0;   // bytes of the longest beginning of a stop string that the text ends with
    size_t whole = 0;  // bytes of the longest stop string that it ends with; 0: none
  };
  Reached advance(char c, Lengths* matched) const;
  bool feed(std::string_view text, bool hidden, std::string* out);
  bool take(char c, bool hidden, size_t* cut);
  size_t seen_of_last(size_t bytes) const;

  const StopSet* set_;
  Lengths seen_;  // in the text as the client sees it
  size_t seen_most_ = 0;
  Lengths all_;        // in the text with its hidden parts; empty: nothing was hidden yet, and the two are the same
  std::string notes_;  // of the last bytes of that text, as many as may be part of a match: 1 seen, 0 hidden
  std::string held_;   // seen bytes that may be part of a match
  bool found_ = false;
};

}  // namespace weir::api
