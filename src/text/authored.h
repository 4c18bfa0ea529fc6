// Which bytes of a text the model's own files wrote: a template's literals and the tokens it is given, as opposed
// to what a client sent. The template engine carries these stretches through its strings, and the tokeniser takes
// control tokens only inside them, so that a text cannot pretend to be one whatever a template does with it. What
// is not known to be the author's counts as the client's.
//
// Owner: the string or buffer it belongs to, on one thread. Eight bytes a stretch; neighbours are joined. The
// allocator is the standard's for results and the render's own inside the template engine (jinja/value.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

struct AuthoredStretch {
  uint32_t begin, end;  // bytes, begin < end
};

template <class Allocator>
class BasicAuthored {
 public:
  BasicAuthored() = default;
  template <class Other>
  explicit BasicAuthored(const BasicAuthored<Other>& other)
      : stretches_(other.stretches().begin(), other.stretches().end()) {}

  // REQUIRES: begin is not before the end of what was added so far, end <= 4 GiB.
  void add(size_t begin, size_t end) {
    if (begin >= end) return;
    if (!stretches_.empty() && stretches_.back().end == begin) {
      stretches_.back().end = static_cast<uint32_t>(end);
    } else {
      stretches_.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    }
  }

  // What [begin, end) of another text had, for a copy of it that stands at `at` here.
  void add_part(const BasicAuthored& of, size_t begin, size_t end, size_t at) {
    for (size_t i = of.first_ending_behind(begin); i < of.stretches_.size() && of.stretches_[i].begin < end; ++i) {
      const AuthoredStretch s = of.stretches_[i];
      add(at + std::max<size_t>(s.begin, begin) - begin, at + std::min<size_t>(s.end, end) - begin);
    }
  }

  // The same stretches as seen from a text that is [begin, end) of this one.
  BasicAuthored part(size_t begin, size_t end) const {
    BasicAuthored out;
    out.add_part(*this, begin, end, 0);
    return out;
  }

  // RETURNS: true when every byte of [begin, end) is the author's; also for an empty range.
  bool covers(size_t begin, size_t end) const {
    if (begin >= end) return true;
    const size_t i = first_ending_behind(begin);
    return i < stretches_.size() && stretches_[i].begin <= begin && stretches_[i].end >= end;
  }

  // RETURNS: where the first stretch at or behind `from` begins; `otherwise` when there is none.
  size_t next_begin(size_t from, size_t otherwise) const {
    const auto it = std::lower_bound(stretches_.begin(), stretches_.end(), from,
                                     [](const AuthoredStretch& s, size_t place) { return s.begin < place; });
    return it == stretches_.end() ? otherwise : it->begin;
  }

  void cut(size_t end) {  // forgets what lies behind `end`
    while (!stretches_.empty() && stretches_.back().begin >= end) stretches_.pop_back();
    if (!stretches_.empty()) stretches_.back().end = std::min(stretches_.back().end, static_cast<uint32_t>(end));
  }

  size_t bytes() const { return stretches_.size() * sizeof(AuthoredStretch); }
  const std::vector<AuthoredStretch, Allocator>& stretches() const { return stretches_; }

 private:
  size_t first_ending_behind(size_t at) const {  // an index
    const auto it = std::upper_bound(stretches_.begin(), stretches_.end(), at,
                                     [](size_t place, const AuthoredStretch& s) { return place < s.end; });
    return static_cast<size_t>(it - stretches_.begin());
  }

  std::vector<AuthoredStretch, Allocator> stretches_;  // in order, with gaps between them
};

// A text with what the author wrote of it.
template <class String, class Marks>
struct BasicAuthoredText {
  String text;
  Marks authored;

  void append(std::string_view bytes) { text.append(bytes); }  // the client's
  void append_authored(std::string_view bytes) {
    authored.add(text.size(), text.size() + bytes.size());
    text.append(bytes);
  }
  // [begin, end) of a text with these stretches.
  void append_part(std::string_view of, const Marks& stretches, size_t begin, size_t end) {
    authored.add_part(stretches, begin, end, text.size());
    text.append(of.substr(begin, end - begin));
  }
  void cut(size_t end) {
    text.resize(end);
    authored.cut(end);
  }
};

using Authored = BasicAuthored<std::allocator<AuthoredStretch>>;
using AuthoredText = BasicAuthoredText<std::string, Authored>;

}  // namespace weir
