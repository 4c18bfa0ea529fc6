#include "text/pretokenizer_scan.h"

#include "text/unicode.h"

namespace weir {

const std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

constexpr uint8_t kKinds = kUnicodeLetter | kUnicodeNumber | kUnicodeSpace;  // 0 of these: the "other" class

// One character and its kind; bytes 0 means the end of the text, which is of no kind.
struct Char {
  char32_t value = 0;
  uint32_t bytes = 0;
  uint8_t kind = 0xFF;

  bool letter() const { return kind == kUnicodeLetter; }
  bool number() const { return kind == kUnicodeNumber; }
  bool space() const { return kind == kUnicodeSpace; }
  bool other() const { return kind == 0; }
};

class Text {
 public:
  explicit Text(std::string_view text) : data_(text.data()), size_(text.size()) {}

  size_t size() const { return size_; }
  char byte(size_t at) const { return at < size_ ? data_[at] : '\0'; }
  Char at(size_t pos) const {
    if (pos >= size_) return {};
    const CodePoint cp = utf8_decode(data_ + pos);
    return {cp.value, cp.bytes, static_cast<uint8_t>(unicode_class(cp.value) & kKinds)};
  }
  // End of the run of characters of this kind that starts at pos.
  size_t run(size_t pos, uint8_t kind) const {
    while (pos < size_) {
      const CodePoint cp = utf8_decode(data_ + pos);
      if ((unicode_class(cp.value) & kKinds) != kind) break;
      pos += cp.bytes;
    }
    return pos;
  }
  size_t newlines(size_t pos) const {
    while (byte(pos) == '\n' || byte(pos) == '\r') ++pos;
    return pos;
  }

 private:
  const char* data_;
  size_t size_;
};

// Bytes of a contraction such as 's or 'll at pos, where an apostrophe stands; 0 if there is none. Any-case
// matching includes U+017F, the long s, which case-folds to s.
size_t contraction(const Text& text, size_t pos, bool any_case) {
  auto letter = [&](size_t at) {
    const char c = text.byte(at);
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(pos + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = letter(pos + 2);
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  if (any_case && text.byte(pos + 1) == '\xC5' && text.byte(pos + 2) == '\xBF') return 3;
  return 0;
}

// \s+(?!\S)|\s+ where a run of spaces starts at pos: all of it at the end of the text, else all but its last
// character, which may belong to the word that follows; a single one stands alone.
size_t space_end(const Text& text, size_t pos, size_t run_end) {
  if (run_end == text.size()) return run_end;
  size_t last = run_end - 1;
  while ((static_cast<unsigned char>(text.byte(last)) & 0xC0) == 0x80) --last;
  return last > pos ? last : run_end;
}

size_t gpt2_end(const Text& text, size_t pos) {
  Char c = text.at(pos);
  if (c.value == '\'') {
    if (const size_t bytes = contraction(text, pos, false)) return pos + bytes;
  }
  size_t start = pos;
  if (c.value == ' ') {
    const Char next = text.at(pos + 1);
    if (next.bytes != 0 && !next.space()) {
      c = next;
      start = pos + 1;
    }
  }
  if (!c.space()) return text.run(start, c.kind);
  return space_end(text, pos, text.run(pos, kUnicodeSpace));
}

// \s*[\r\n]+ comes before the other space rules: it ends after the last line break of the run.
size_t space_or_newline_end(const Text& text, size_t pos) {
  const size_t run_end = text.run(pos, kUnicodeSpace);
  for (size_t at = run_end; at > pos; --at) {
    if (text.byte(at - 1) == '\n' || text.byte(at - 1) == '\r') return at;
  }
  return space_end(text, pos, run_end);
}

size_t number_end(const Text& text, size_t pos, int digits_max) {
  for (int i = 0; i < digits_max; ++i) {
    const Char c = text.at(pos);
    if (!c.number()) break;
    pos += c.bytes;
  }
  return pos;
}

size_t llama3_end(const Text& text, size_t pos, int digits_max) {
  const Char c = text.at(pos);
  if (c.value == '\'') {
    if (const size_t bytes = contraction(text, pos, true)) return pos + bytes;
  }
  if (c.letter()) return text.run(pos, kUnicodeLetter);
  if (c.number()) return number_end(text, pos, digits_max);
  const Char next = text.at(pos + c.bytes);
  if (next.letter() && c.value != '\r' && c.value != '\n') return text.run(pos + c.bytes, kUnicodeLetter);
  if (c.other()) return text.newlines(text.run(pos, 0));
  if (c.value == ' ' && next.other()) return text.newlines(text.run(pos + 1, 0));
  return space_or_newline_end(text, pos);
}

template <class Next>
void scan(std::string_view all, uint32_t offset, std::vector<Span>* out, Next next) {
  const Text text(all);
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = next(text, pos);
    out->push_back({static_cast<uint32_t>(offset + pos), static_cast<uint32_t>(offset + end)});
    pos = end;
  }
}

}  // namespace

std::optional<ScanPattern> scan_pattern_for(std::string_view regex) {
  if (regex == kGpt2Regex) return ScanPattern::kGpt2;
  if (regex == kLlama3Regex) return ScanPattern::kLlama3;
  if (regex == kQwen2Regex) return ScanPattern::kQwen2;
  return std::nullopt;
}

void scan_pieces(ScanPattern pattern, std::string_view text, uint32_t offset, std::vector<Span>* out) {
  switch (pattern) {
    case ScanPattern::kGpt2:
      return scan(text, offset, out, [](const Text& t, size_t pos) { return gpt2_end(t, pos); });
    case ScanPattern::kLlama3:
      return scan(text, offset, out, [](const Text& t, size_t pos) { return llama3_end(t, pos, 3); });
    case ScanPattern::kQwen2:
      return scan(text, offset, out, [](const Text& t, size_t pos) { return llama3_end(t, pos, 1); });
  }
}

}  // namespace weir
