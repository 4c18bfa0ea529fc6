#include "api/stop_strings.h"

#include <algorithm>

#include "base/check.h"

namespace weir::api {
namespace {

std::vector<int> borders_of(std::string_view text) {
  std::vector<int> border(text.size() + 1, 0);
  border[0] = -1;
  int k = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    while (k >= 0 && text[static_cast<size_t>(k)] != text[i]) k = border[static_cast<size_t>(k)];
    border[i + 1] = ++k;
  }
  return border;
}

}  // namespace

StopSet::StopSet(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& text : strings_) {
    WEIR_CHECK(!text.empty());
    borders_.push_back(borders_of(text));
  }
}

uint64_t StopSet::bytes() const {
  uint64_t bytes = strings_.capacity() * sizeof(std::string) + borders_.capacity() * sizeof(std::vector<int>);
  for (const std::string& text : strings_) bytes += text.capacity();
  for (const std::vector<int>& border : borders_) bytes += border.capacity() * sizeof(int);
  return bytes;
}

uint64_t StopSet::matcher_bytes() const {
  size_t longest = 0;
  for (const std::string& text : strings_) longest = std::max(longest, text.size());
  return strings_.size() * sizeof(int) + 2 * longest;  // held_ grows by doubling
}

StopMatcher::StopMatcher(const StopSet* set) : set_(set), matched_(set->strings_.size(), 0) {}

int StopMatcher::advance(size_t which, char c) {
  const std::string& text = set_->strings_[which];
  const std::vector<int>& border = set_->borders_[which];
  int k = matched_[which];
  while (k >= 0 && text[static_cast<size_t>(k)] != c) k = border[static_cast<size_t>(k)];
  return matched_[which] = k + 1;
}

bool StopMatcher::feed(std::string_view text, std::string* out) {
  if (set_->empty()) {
    out->append(text);
    return false;
  }
  size_t hold = held_.size();
  for (const char c : text) {
    held_.push_back(c);
    size_t found = 0;
    hold = 0;
    for (size_t i = 0; i < matched_.size(); ++i) {
      const auto length = static_cast<size_t>(advance(i, c));
      hold = std::max(hold, length);
      if (length == set_->strings_[i].size()) found = std::max(found, length);
    }
    if (found > 0) {
      out->append(held_, 0, held_.size() - found);
      held_.clear();
      return found_ = true;
    }
  }
  out->append(held_, 0, held_.size() - hold);
  held_.erase(0, held_.size() - hold);
  return false;
}

void StopMatcher::flush(std::string* out) {
  out->append(held_);
  held_.clear();
}

}  // namespace weir::api
