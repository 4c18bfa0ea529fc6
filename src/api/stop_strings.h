// StopMatcher: finds stop strings in text that arrives in pieces and holds back what might become one.
//
// Owner: one sequence, on its io thread. Cost: one automaton step per byte and stop string (Knuth-Morris-Pratt), so
// adversarial stop strings cost no more than others. Memory: the held-back text, less than the longest stop string.
// The match that ends first wins, and of those that end together the longest, so the result does not depend on how
// the text was cut into pieces.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::api {

// The stop strings of a request with their failure tables; shared by its sequences, read-only.
class StopSet {
 public:
  explicit StopSet(std::vector<std::string> strings);  // none may be empty
  bool empty() const { return strings_.empty(); }
  uint64_t bytes() const;          // strings and tables on the heap
  uint64_t matcher_bytes() const;  // what each StopMatcher of it takes at most between two calls

 private:
  friend class StopMatcher;
  std::vector<std::string> strings_;
  std::vector<std::vector<int>> borders_;  // [string][length]: longest proper prefix that is also a suffix
};

class StopMatcher {
 public:
  explicit StopMatcher(const StopSet* set);

  // Appends to *out what can no longer be part of a stop string. RETURNS: true when one was found; *out then ends
  // before it, and the matcher takes no more.
  bool feed(std::string_view text, std::string* out);
  void flush(std::string* out);  // no more text will come: what was held back is text
  bool found() const { return found_; }
  size_t held_bytes() const { return held_.size(); }

 private:
  int advance(size_t which, char c);  // RETURNS: the matched prefix of string `which` after c

  const StopSet* set_;
  std::vector<int> matched_;  // [string]: bytes of it that the text ends with
  std::string held_;
  bool found_ = false;
};

}  // namespace weir::api
