// split, rsplit, splitlines, partition and rpartition.
#include <algorithm>

#include "text/jinja/methods.h"
#include "text/jinja/search.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {

Value like(Interp&, const Value& self, Text text) { return mapped_from(self, std::move(text), self.str()->markup); }

namespace {

Value push_piece(const Value& self, Value& list, std::string_view piece) {
  list.seq()->push(part_of(self, piece));
  return list;
}

Value push_literal(Interp& in, const Value& self, Value& list, std::string_view piece) {
  list.seq()->push(make_string(in.heap, Text(piece), self.str()->markup));
  return list;
}

void split_space(Interp& in, const Value& self, std::string_view s, int64_t max, Value& out) {
  s = strip_left(s);
  while (!s.empty() && !in.heap.failed()) {
    if (max == 0) {
      push_piece(self, out, s);
      return;
    }
    size_t end = 0;
    while (end < s.size() && !is_space(char_at(s, end))) end += char_bytes(s, end);
    push_piece(self, out, s.substr(0, end));
    s = strip_left(s.substr(end));
    --max;
  }
}

void rsplit_space(Interp& in, const Value& self, std::string_view s, int64_t max, Value& out) {
  s = strip_right(s);
  while (!s.empty() && !in.heap.failed()) {
    if (max == 0) {
      push_piece(self, out, s);
      break;
    }
    size_t from = s.size();
    while (from > 0) {
      size_t before = from - 1;
      while (before > 0 && (static_cast<unsigned char>(s[before]) & 0xC0) == 0x80) --before;
      if (is_space(char_at(s, before))) break;
      from = before;
    }
    push_piece(self, out, s.substr(from));
    s = strip_right(s.substr(0, from));
    --max;
  }
  std::reverse(out.seq()->items.begin(), out.seq()->items.end());
}

void split_by(Interp& in, const Value& self, std::string_view s, std::string_view by, int64_t max, Value& out) {
  for (; max != 0 && !in.heap.failed(); --max) {
    const size_t hit = find_bytes(s, by, 0);
    if (hit == s.npos) break;
    push_piece(self, out, s.substr(0, hit));
    s.remove_prefix(hit + by.size());
  }
  push_piece(self, out, s);
}

void rsplit_by(Interp& in, const Value& self, std::string_view s, std::string_view by, int64_t max, Value& out) {
  // The separators that count are the last ones found from the right, without overlaps.
  const Text mirror(s.rbegin(), s.rend());
  const Text mirror_by(by.rbegin(), by.rend());
  std::string_view rest = mirror;
  for (; max != 0 && !in.heap.failed(); --max) {
    const size_t hit = find_bytes(rest, mirror_by, 0);
    if (hit == rest.npos) break;
    push_piece(self, out, s.substr(rest.size() - hit, hit));
    rest.remove_prefix(hit + by.size());
    s = s.substr(0, rest.size());
  }
  push_piece(self, out, s);
  std::reverse(out.seq()->items.begin(), out.seq()->items.end());
}

Value split(Interp& in, const Value& self, const Args& args, bool right) {
  Bound b(in.heap, right ? "rsplit" : "split", args, {"sep", "maxsplit"});
  if (!b.ok()) return {};
  const int64_t max = b.integer(1, -1);
  const std::string_view by = b.given(0) ? b.text(0, "") : "";
  if (b.given(0) && by.empty()) return in.fail("split needs a separator that is not empty");
  Value out = make_seq(in.heap, SeqKind::kList);
  if (!in.heap.step_bytes(self.text().size())) return {};
  if (b.given(0))
    (right ? rsplit_by : split_by)(in, self, self.text(), by, max, out);
  else
    (right ? rsplit_space : split_space)(in, self, self.text(), max, out);
  return out;
}

}  // namespace

Value str_split(Interp& in, const Value& self, const Args& args) { return split(in, self, args, false); }
Value str_rsplit(Interp& in, const Value& self, const Args& args) { return split(in, self, args, true); }

Value str_splitlines(Interp& in, const Value& self, const Args& args) {
  Bound b(in.heap, "splitlines", args, {"keepends"});
  Value out = make_seq(in.heap, SeqKind::kList);
  if (!b.ok()) return {};
  for (const std::string_view line : split_lines(self.text(), b.flag(0, false))) {
    if (in.heap.failed()) return {};
    push_piece(self, out, line);
  }
  return out;
}

namespace {
Value partition(Interp& in, const Value& self, const Args& args, bool right) {
  Bound b(in.heap, "partition", args, {"sep"}, 1);
  const std::string_view by = b.ok() ? b.text(0, "") : "";
  if (in.heap.failed()) return {};
  if (by.empty()) return in.fail("partition needs a separator that is not empty");
  const std::string_view s = self.text();
  const size_t hit = right ? rfind_bytes(s, by) : find_bytes(s, by, 0);
  Value out = make_seq(in.heap, SeqKind::kTuple);
  if (hit != s.npos) {
    push_piece(self, out, s.substr(0, hit));
    push_literal(in, self, out, by);
    return push_piece(self, out, s.substr(hit + by.size()));
  }
  push_piece(self, out, right ? s.substr(0, 0) : s);
  push_piece(self, out, s.substr(0, 0));
  return push_piece(self, out, right ? s : s.substr(0, 0));
}
}  // namespace

Value str_partition(Interp& in, const Value& self, const Args& args) { return partition(in, self, args, false); }
Value str_rpartition(Interp& in, const Value& self, const Args& args) { return partition(in, self, args, true); }

}  // namespace weir::jinja
