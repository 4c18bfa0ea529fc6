#include "text/pretokenizer.h"

#include <utility>

#include "text/byte_level.h"
#include "text/unicode.h"

namespace weir {
namespace {

constexpr size_t kTextBytesMax = size_t{1} << 31;

// The matches of a pattern in one piece, and the text between them, alternating as they come.
struct Part {
  Span span;
  bool match;
};

std::vector<Part> parts_of(Span piece, const std::vector<Span>& matches, bool invert) {
  std::vector<Part> parts;
  parts.reserve(matches.size() * 2 + 1);
  uint32_t at = piece.begin;
  for (const Span& match : matches) {
    if (at < match.begin) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at < piece.end) parts.push_back({{at, piece.end}, invert});
  return parts;
}

void emit(Span span, std::vector<Span>* out) {
  if (span.begin < span.end) out->push_back(span);
}

// A delimiter joins the part before it unless that was a delimiter too.
void merge_with_previous(const std::vector<Part>& parts, std::vector<Span>* out) {
  bool previous = false;
  Span open{0, 0};
  for (const Part& part : parts) {
    if (part.match && !previous && open.end != 0) {
      open.end = part.span.end;
    } else {
      emit(open, out);
      open = part.span;
    }
    previous = part.match;
  }
  emit(open, out);
}

void merge_with_next(const std::vector<Part>& parts, std::vector<Span>* out) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool joins = parts[i].match && i + 1 < parts.size() && !parts[i + 1].match;
    emit({parts[i].span.begin, joins ? parts[i + 1].span.end : parts[i].span.end}, out);
    i += joins;
  }
}

void merge_contiguous(const std::vector<Part>& parts, std::vector<Span>* out) {
  for (size_t i = 0; i < parts.size();) {
    size_t end = i + 1;
    while (end < parts.size() && parts[end].match == parts[i].match) ++end;
    emit({parts[i].span.begin, parts[end - 1].span.end}, out);
    i = end;
  }
}

void apply_behavior(SplitBehavior behavior, const std::vector<Part>& parts, std::vector<Span>* out) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious: return merge_with_previous(parts, out);
    case SplitBehavior::kMergedWithNext: return merge_with_next(parts, out);
    case SplitBehavior::kContiguous: return merge_contiguous(parts, out);
    case SplitBehavior::kIsolated:
    case SplitBehavior::kRemoved:
      for (const Part& part : parts) {
        if (behavior == SplitBehavior::kIsolated || !part.match) emit(part.span, out);
      }
  }
}

template <class Finder>
void split_each(SplitBehavior behavior, bool invert, Pieces* pieces, Finder find) {
  pieces->scratch.clear();
  for (const Span& piece : pieces->spans) {
    pieces->matches.clear();
    find(piece, &pieces->matches);
    apply_behavior(behavior, parts_of(piece, pieces->matches, invert), &pieces->scratch);
  }
  pieces->spans.swap(pieces->scratch);
}

std::string_view view(const Pieces& pieces, Span span) {
  return std::string_view(pieces.text).substr(span.begin, span.end - span.begin);
}

// Each character of these classes is a match by itself.
void split_chars(uint8_t classes, SplitBehavior behavior, Pieces* pieces) {
  split_each(behavior, false, pieces, [&](Span piece, std::vector<Span>* matches) {
    for (uint32_t at = piece.begin; at < piece.end;) {
      const CodePoint cp = utf8_decode(pieces->text.data() + at);
      // ASCII symbols such as $ and + are no \p{P}, yet punctuation here.
      const bool symbol = (classes & kUnicodePunctuation) && cp.value > 32 && cp.value < 127 &&
                          !(unicode_class(cp.value) & (kUnicodeLetter | kUnicodeNumber));
      if (symbol || (unicode_class(cp.value) & classes)) matches->push_back({at, at + cp.bytes});
      at += cp.bytes;
    }
  });
}

// \w+|[^\w\s]+, keeping the matches: runs of word characters and runs of everything else but spaces.
void split_whitespace(Pieces* pieces) {
  auto kind = [&](uint32_t at, uint32_t* bytes) {
    const CodePoint cp = utf8_decode(pieces->text.data() + at);
    *bytes = cp.bytes;
    const uint8_t bits = unicode_class(cp.value);
    return bits & kUnicodeWord ? kUnicodeWord : bits & kUnicodeSpace;
  };
  pieces->scratch.clear();
  for (const Span& piece : pieces->spans) {
    uint32_t bytes = 0;
    for (uint32_t at = piece.begin; at < piece.end;) {
      const int first = kind(at, &bytes);
      uint32_t end = at + bytes;
      while (end < piece.end && kind(end, &bytes) == first) end += bytes;
      if (first != kUnicodeSpace) pieces->scratch.push_back({at, end});
      at = end;
    }
  }
  pieces->spans.swap(pieces->scratch);
}

Status split_regex(const PretokenizerSpec& step, Pieces* pieces) {
  Status status;
  split_each(step.behavior, step.invert, pieces, [&](Span piece, std::vector<Span>* matches) {
    if (status.ok()) status = step.regex->find_all(view(*pieces, piece), matches);
    for (Span& match : *matches) match = {match.begin + piece.begin, match.end + piece.begin};
  });
  return status;
}

// The patterns of the scanners match everything, so isolating the matches is all there is to do.
void split_scan(const PretokenizerSpec& step, Pieces* pieces) {
  pieces->scratch.clear();
  for (const Span& piece : pieces->spans) {
    scan_pieces(step.scan, view(*pieces, piece), piece.begin, &pieces->scratch);
  }
  pieces->spans.swap(pieces->scratch);
}

// Rewrites every piece with `rewrite(piece_index, view, out)`. ERRORS: kInvalidArgument when too long.
template <class Rewrite>
Status rewrite_each(Pieces* pieces, Rewrite rewrite) {
  std::string text;
  text.reserve(pieces->text.size() + pieces->spans.size());
  for (size_t i = 0; i < pieces->spans.size(); ++i) {
    const size_t begin = text.size();
    rewrite(i, view(*pieces, pieces->spans[i]), &text);
    if (text.size() > kTextBytesMax) return invalid_argument("the text is too long for this tokeniser");
    pieces->spans[i] = {static_cast<uint32_t>(begin), static_cast<uint32_t>(text.size())};
  }
  pieces->text = std::move(text);
  return ok_status();
}

Status apply_byte_level(const PretokenizerSpec& step, Pieces* pieces) {
  if (step.add_prefix_space) {
    WEIR_RETURN_IF_ERROR(rewrite_each(pieces, [](size_t, std::string_view piece, std::string* out) {
      if (piece.front() != ' ') out->push_back(' ');
      out->append(piece);
    }));
  }
  if (step.use_regex) split_scan(step, pieces);
  return ok_status();
}

Status apply_metaspace(const PretokenizerSpec& step, bool at_start, Pieces* pieces) {
  // Whether a piece stands at the very start is a question about the text before it is rewritten.
  const bool first_at_start = at_start && !pieces->spans.empty() && pieces->spans[0].begin == 0;
  WEIR_RETURN_IF_ERROR(rewrite_each(pieces, [&](size_t i, std::string_view piece, std::string* out) {
    const bool may = step.prepend == PrependScheme::kAlways ||
                     (step.prepend == PrependScheme::kFirst && i == 0 && first_at_start);
    if (may && piece.front() != ' ' && !piece.starts_with(step.replacement)) out->append(step.replacement);
    for (const char c : piece) c == ' ' ? out->append(step.replacement) : out->append(1, c);
  }));
  if (!step.split) return ok_status();
  split_each(SplitBehavior::kMergedWithNext, false, pieces, [&](Span piece, std::vector<Span>* matches) {
    const std::string_view text = view(*pieces, piece);
    for (size_t at = text.find(step.replacement); at != text.npos;
         at = text.find(step.replacement, at + step.replacement.size())) {
      const auto begin = static_cast<uint32_t>(piece.begin + at);
      matches->push_back({begin, begin + static_cast<uint32_t>(step.replacement.size())});
    }
  });
  return ok_status();
}

Status apply_step(const PretokenizerSpec& step, bool at_start, Pieces* pieces) {
  using Kind = PretokenizerSpec::Kind;
  switch (step.kind) {
    case Kind::kSplit: return split_regex(step, pieces);
    case Kind::kScan: split_scan(step, pieces); break;
    case Kind::kByteLevel: return apply_byte_level(step, pieces);
    case Kind::kDigits:
      split_chars(kUnicodeNumber, step.individual_digits ? SplitBehavior::kIsolated : SplitBehavior::kContiguous,
                  pieces);
      break;
    case Kind::kWhitespace: split_whitespace(pieces); break;
    case Kind::kWhitespaceSplit: split_chars(kUnicodeSpace, SplitBehavior::kRemoved, pieces); break;
    case Kind::kPunctuation: split_chars(kUnicodePunctuation, step.behavior, pieces); break;
    case Kind::kMetaspace: return apply_metaspace(step, at_start, pieces);
  }
  return ok_status();
}

}  // namespace

Pretokenizer::Pretokenizer(std::vector<PretokenizerSpec> steps) : steps_(std::move(steps)) {
  yields_bytes_ = !steps_.empty() && steps_.back().kind == PretokenizerSpec::Kind::kByteLevel;
}

Status Pretokenizer::split(bool at_start, Pieces* pieces) const {
  pieces->spans.clear();
  if (pieces->text.empty()) return ok_status();
  pieces->spans.push_back({0, static_cast<uint32_t>(pieces->text.size())});
  for (size_t i = 0; i < steps_.size(); ++i) {
    WEIR_RETURN_IF_ERROR(apply_step(steps_[i], at_start, pieces));
    const bool map_here = steps_[i].kind == PretokenizerSpec::Kind::kByteLevel && i + 1 < steps_.size();
    if (map_here) {
      WEIR_RETURN_IF_ERROR(rewrite_each(
          pieces, [](size_t, std::string_view piece, std::string* out) { byte_level_encode(piece, out); }));
    }
  }
  return ok_status();
}

}  // namespace weir
