#include "config/nearest.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t kWordBytesMax = 64;

char folded(char c) {
  if (c == '_') return '-';
  return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

}  // namespace

size_t edit_distance(std::string_view one, std::string_view other) {
  if (one.size() > kWordBytesMax || other.size() > kWordBytesMax) return one.size() + other.size() + 1;
  // Optimal string alignment: three rows of the table are enough, the swap looks two rows back.
  std::vector<size_t> before_last(other.size() + 1), last(other.size() + 1), row(other.size() + 1);
  for (size_t j = 0; j <= other.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= one.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= other.size(); ++j) {
      const bool same = folded(one[i - 1]) == folded(other[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && folded(one[i - 1]) == folded(other[j - 2]) &&
                           folded(one[i - 2]) == folded(other[j - 1]);
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[other.size()];
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance || distance >= candidate.size()) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const std::string best = nearest_word(word, known);
  return best.empty() ? "" : "; did you mean " + best + "?";
}

}  // namespace weir
