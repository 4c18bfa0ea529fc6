// Hand-written scanners for the three split patterns that nearly every byte-level tokeniser uses. They give the
// same pieces as the regex would, several times faster and with our own Unicode tables.
//
// Owner: text room. Any thread. Time is linear in the text; memory is the spans.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace weir {

// Bytes [begin, end) of some text below 4 GiB.
struct Span {
  uint32_t begin;
  uint32_t end;
};

enum class ScanPattern {
  kGpt2,
  kLlama3,  // also cl100k: any-case contractions, numbers in groups of at most three
  kQwen2,   // as kLlama3 with numbers one by one
};

extern const std::string_view kGpt2Regex;
extern const std::string_view kLlama3Regex;
extern const std::string_view kQwen2Regex;

// The scanner for exactly this pattern string, if there is one.
std::optional<ScanPattern> scan_pattern_for(std::string_view regex);

// Appends the pieces of `text`, shifted by `offset`; they cover it without gaps. REQUIRES: valid UTF-8.
void scan_pieces(ScanPattern pattern, std::string_view text, uint32_t offset, std::vector<Span>* out);

}  // namespace weir
