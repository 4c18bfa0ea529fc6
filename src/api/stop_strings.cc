#include "api/stop_strings.h"

#include <algorithm>

#include "base/check.h"

namespace weir::api {
namespace {

std::vector<int16_t> borders_of(std::string_view text) {
  std::vector<int16_t> border(text.size() + 1, 0);
  border[0] = -1;
  int16_t k = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    while (k >= 0 && text[static_cast<size_t>(k)] != text[i]) k = border[static_cast<size_t>(k)];
    border[i + 1] = ++k;
  }
  return border;
}

}  // namespace

StopSet::StopSet(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& text : strings_) {
    WEIR_CHECK(!text.empty() && text.size() <= kStringBytesMax);
    borders_.push_back(borders_of(text));
  }
}

uint64_t StopSet::bytes() const {
  uint64_t bytes = strings_.capacity() * sizeof(std::string) + borders_.capacity() * sizeof(std::vector<int16_t>);
  for (const std::string& text : strings_) bytes += text.capacity();
  for (const std::vector<int16_t>& border : borders_) bytes += border.capacity() * sizeof(int16_t);
  return bytes;
}

uint64_t StopSet::matcher_bytes() const {
  size_t longest = 0;
  for (const std::string& text : strings_) longest = std::max(longest, text.size());
  return 2 *
         (strings_.size() * sizeof(int16_t) + 2 * longest);  // with and without hidden text; texts grow by doubling
}

StopMatcher::StopMatcher(const StopSet* set) : set_(set), seen_(set->strings_.size(), 0) {}

StopMatcher::Reached StopMatcher::advance(char c, Lengths* matched) const {
  Reached reached;
  for (size_t i = 0; i < matched->size(); ++i) {
    const std::string& text = set_->strings_[i];
    const std::vector<int16_t>& border = set_->borders_[i];
    int16_t k = (*matched)[i];
    while (k >= 0 && text[static_cast<size_t>(k)] != c) k = border[static_cast<size_t>(k)];
    (*matched)[i] = ++k;
    const auto length = static_cast<size_t>(k);
    reached.most = std::max(reached.most, length);
    if (length == text.size()) reached.whole = std::max(reached.whole, length);
  }
  return reached;
}

size_t StopMatcher::seen_of_last(size_t bytes) const {
  return static_cast<size_t>(std::count(notes_.end() - static_cast<std::ptrdiff_t>(bytes), notes_.end(), '\1'));
}

// RETURNS: true where a stop string ends with c; the last *cut held bytes are part of it.
bool StopMatcher::take(char c, bool hidden, size_t* cut) {
  Reached seen, all;
  if (!all_.empty()) {
    all = advance(c, &all_);
    notes_.push_back(hidden ? '\0' : '\1');
    notes_.erase(0, notes_.size() - all.most);
  }
  if (!hidden) {
    held_.push_back(c);
    seen = advance(c, &seen_);
    seen_most_ = seen.most;
  }
  *cut = std::max(seen.whole, seen_of_last(all.whole));
  return seen.whole > 0 || all.whole > 0;
}

bool StopMatcher::feed(std::string_view text, bool hidden, std::string* out) {
  if (set_->empty()) {
    if (!hidden) out->append(text);
    return false;
  }
  if (hidden && all_.empty()) {
    all_ = seen_;
    notes_.assign(seen_most_, '\1');
  }
  for (const char c : text) {
    size_t cut = 0;
    if (!take(c, hidden, &cut)) continue;
    out->append(held_, 0, held_.size() - cut);
    held_.clear();
    return found_ = true;
  }
  const size_t keep = std::max(seen_most_, seen_of_last(notes_.size()));
  out->append(held_, 0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return false;
}

void StopMatcher::flush(std::string* out) {
  out->append(held_);
  held_.clear();
}

}  // namespace weir::api
