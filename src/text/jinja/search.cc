#include "text/jinja/search.h"

#include <cstring>

#include "text/jinja/unicode.h"

namespace weir::jinja {

size_t find_bytes(std::string_view s, std::string_view what, size_t from) {
  if (from > s.size()) return s.npos;
  if (what.empty()) return from;
  const void* hit = memmem(s.data() + from, s.size() - from, what.data(), what.size());
  return hit == nullptr ? s.npos : static_cast<size_t>(static_cast<const char*>(hit) - s.data());
}

// Searching backwards is searching the mirror image forwards, which stays linear for any pattern.
size_t rfind_bytes(std::string_view s, std::string_view what) {
  if (what.size() > s.size()) return s.npos;
  const Text mirror(s.rbegin(), s.rend());
  const Text mirror_what(what.rbegin(), what.rend());
  const size_t hit = find_bytes(mirror, mirror_what, 0);
  return hit == s.npos ? s.npos : s.size() - hit - what.size();
}

AuthoredText replace_all(Heap& heap, const Value& string, std::string_view from, const Value& to, int64_t count) {
  const std::string_view s = string.text();
  const Authored& authored = string.str()->authored;
  AuthoredText out;
  uint64_t left = count < 0 ? UINT64_MAX : static_cast<uint64_t>(count);
  heap.step_bytes(s.size());
  size_t at = 0;
  bool more = left > 0;
  while (more && heap.step()) {
    const size_t hit = from.empty() ? at : find_bytes(s, from, at);
    if (hit == s.npos) break;
    out.append_part(s, authored, at, hit);
    append_string(to, out);
    --left;
    at = hit + from.size();
    more = left > 0;
    if (from.empty()) {
      if (at >= s.size()) break;
      const size_t n = char_bytes(s, at);
      out.append_part(s, authored, at, at + n);
      at += n;
    }
  }
  out.append_part(s, authored, at, s.size());
  return out;
}

Vec<std::string_view> split_lines(std::string_view s, bool keep_ends) {
  Vec<std::string_view> out;
  size_t from = 0;
  for (size_t i = 0; i < s.size();) {
    const size_t n = char_bytes(s, i);
    if (!is_line_break(char_at(s, i))) {
      i += n;
      continue;
    }
    const size_t end = i + (s[i] == '\r' && i + 1 < s.size() && s[i + 1] == '\n' ? 2 : n);
    out.push_back(s.substr(from, (keep_ends ? end : i) - from));
    from = i = end;
  }
  if (from < s.size()) out.push_back(s.substr(from));
  return out;
}

}  // namespace weir::jinja
