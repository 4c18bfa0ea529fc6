#include "text/added_tokens.h"

#include <algorithm>
#include <tuple>

#include "text/unicode.h"

namespace weir {
namespace {

bool word_before(std::string_view text, size_t at) {
  return at > 0 && (unicode_class(utf8_last(text.substr(0, at)).value) & kUnicodeWord);
}

bool word_after(std::string_view text, size_t at) {
  return at < text.size() && (unicode_class(utf8_decode(text.data() + at).value) & kUnicodeWord);
}

size_t spaces_before(std::string_view text, size_t floor, size_t at) {
  while (at > floor) {
    const CodePoint cp = utf8_last(text.substr(0, at));
    if (!(unicode_class(cp.value) & kUnicodeSpace)) break;
    at -= cp.bytes;
  }
  return at;
}

size_t spaces_after(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint cp = utf8_decode(text.data() + at);
    if (!(unicode_class(cp.value) & kUnicodeSpace)) break;
    at += cp.bytes;
  }
  return at;
}

}  // namespace

TokenTrie::TokenTrie(std::vector<Entry> entries) {
  std::erase_if(entries, [](const Entry& e) { return e.content.empty(); });
  if (entries.empty()) return;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.content, a.value) < std::tie(b.content, b.value); });
  for (const Entry& e : entries) starts_[static_cast<uint8_t>(e.content[0])] = true;
  build(entries, 0, entries.size(), 0);
}

// Entries [begin, end) share their first `depth` bytes and are sorted. Recursion is as deep as the longest
// content, which kAddedTokenBytesMax bounds.
uint32_t TokenTrie::build(const std::vector<Entry>& entries, size_t begin, size_t end, size_t depth) {
  const auto node = static_cast<uint32_t>(nodes_.size());
  nodes_.emplace_back();
  for (; begin < end && entries[begin].content.size() == depth; ++begin) {
    if (nodes_[node].value == kNoValue) nodes_[node].value = entries[begin].value;
  }
  auto byte_at = [&](size_t i) { return static_cast<uint8_t>(entries[i].content[depth]); };
  const auto edges_begin = static_cast<uint32_t>(edges_.size());
  std::vector<size_t> starts;
  for (size_t i = begin; i < end; ++i) {
    if (i > begin && byte_at(i) == byte_at(i - 1)) continue;
    starts.push_back(i);
    edges_.push_back({byte_at(i), 0});
  }
  nodes_[node].edges_begin = edges_begin;
  nodes_[node].edges_count = static_cast<uint32_t>(starts.size());
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t stop = i + 1 < starts.size() ? starts[i + 1] : end;
    edges_[edges_begin + i].node = build(entries, starts[i], stop, depth + 1);
  }
  return node;
}

size_t TokenTrie::longest_at(std::string_view text, size_t from, uint32_t* value) const {
  size_t longest = 0;
  uint32_t node = 0;
  for (size_t at = from; at < text.size(); ++at) {
    const auto begin = edges_.begin() + nodes_[node].edges_begin;
    const auto end = begin + nodes_[node].edges_count;
    const auto byte = static_cast<uint8_t>(text[at]);
    const auto edge = std::lower_bound(begin, end, byte, [](const Edge& e, uint8_t b) { return e.byte < b; });
    if (edge == end || edge->byte != byte) break;
    node = edge->node;
    if (nodes_[node].value == kNoValue) continue;
    longest = at + 1 - from;
    *value = nodes_[node].value;
  }
  return longest;
}

size_t TokenTrie::next_candidate(std::string_view text, size_t from) const {
  while (from < text.size() && !starts_[static_cast<uint8_t>(text[from])]) ++from;
  return from;
}

uint64_t TokenTrie::memory_bytes() const {
  return nodes_.capacity() * sizeof(Node) + edges_.capacity() * sizeof(Edge);
}

AddedTokens::AddedTokens(std::vector<AddedTokenSpec> tokens, const std::vector<std::string>& normalized_contents)
    : tokens_(std::move(tokens)) {
  std::vector<TokenTrie::Entry> raw, normalized, spelled;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    by_id_.emplace(tokens_[i].id, i);
    by_content_.emplace(tokens_[i].content, i);
    (tokens_[i].normalized ? normalized : raw)
        .push_back({tokens_[i].normalized ? normalized_contents[i] : tokens_[i].content, i});
    if (tokens_[i].normalized) spelled.push_back({tokens_[i].content, i});
  }
  raw_ = TokenTrie(std::move(raw));
  normalized_ = TokenTrie(std::move(normalized));
  spelled_ = TokenTrie(std::move(spelled));
}

const AddedTokenSpec* AddedTokens::find(int32_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : &tokens_[it->second];
}

const AddedTokenSpec* AddedTokens::find(std::string_view content) const {
  const auto it = by_content_.find(content);
  return it == by_content_.end() ? nullptr : &tokens_[it->second];
}

uint64_t AddedTokens::memory_bytes() const {
  uint64_t bytes = raw_.memory_bytes() + normalized_.memory_bytes() + spelled_.memory_bytes();
  for (const auto& token : tokens_) bytes += sizeof(token) + token.content.capacity() + 96;  // two map nodes
  return bytes;
}

size_t AddedTokens::guard_spelled(std::string_view raw, const SpecialRule& rule, std::string_view guard,
                                  std::string* out) const {
  size_t authored = 0;
  size_t copied = 0;
  for (size_t at = spelled_.next_candidate(raw, 0); at < raw.size(); at = spelled_.next_candidate(raw, at)) {
    uint32_t which = 0;
    const size_t bytes = spelled_.longest_at(raw, at, &which);
    if (bytes == 0 || !rule.is_control(tokens_[which])) {
      at += std::max<size_t>(bytes, 1);
      continue;
    }
    const size_t end = at + bytes;
    if (rule.allows(at, end)) {
      ++authored;
      at = end;
      continue;
    }
    const size_t inside = at + utf8_decode(raw.data() + at).bytes;
    out->append(raw.substr(copied, inside - copied)).append(guard);
    copied = at = inside;  // another token may begin within this one
  }
  out->append(raw.substr(copied));
  return authored;
}

size_t AddedTokens::count_control(const std::vector<Segment>& segments, const SpecialRule& rule) const {
  return static_cast<size_t>(std::count_if(segments.begin(), segments.end(), [&](const Segment& s) {
    const AddedTokenSpec* token = s.id < 0 ? nullptr : find(s.id);
    return token != nullptr && rule.is_control(*token);
  }));
}

// A match that its token refuses (part of a word, or special when those are text) is used up all the same:
// nothing that starts inside it is looked for, but for what the author of a prompt wrote. A token found inside the
// spaces that an earlier one's rstrip took still counts, and text goes on where it ends. Both are what the
// reference implementation does.
void AddedTokens::cut(const TokenTrie& trie, std::string_view text, const SpecialRule& rule,
                      std::vector<Segment>* segments) const {
  segments->clear();
  size_t done = 0;
  auto add_text = [&](size_t end) {
    if (done < end) segments->push_back({static_cast<uint32_t>(done), static_cast<uint32_t>(end), -1});
  };
  if (trie.empty()) return add_text(text.size());
  for (size_t at = trie.next_candidate(text, 0); at < text.size(); at = trie.next_candidate(text, at)) {
    uint32_t which = 0;
    const size_t bytes = trie.longest_at(text, at, &which);
    if (bytes == 0) {
      ++at;
      continue;
    }
    const AddedTokenSpec& token = tokens_[which];
    size_t begin = at;
    size_t end = at + bytes;
    if (rule.is_control(token) && !rule.allows(begin, end)) {
      at = rule.resume(begin, end);
      continue;
    }
    at = end;
    if (token.single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (token.lstrip) begin = spaces_before(text, done, begin);
    if (token.rstrip) end = spaces_after(text, end);
    add_text(begin);
    segments->push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end), token.id});
    done = end;
  }
  add_text(text.size());
}

}  // namespace weir
