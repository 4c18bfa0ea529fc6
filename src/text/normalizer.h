// The normaliser: what a tokenizer file does to text before it is split. Usually nothing (GPT-2, Llama-3), NFC
// (Qwen) or spaces into U+2581 (Llama-2).
//
// Owner: text room. Immutable after construction; any thread. Time is n log n at worst (runs of combining marks
// are sorted). Output is bounded: text that grows beyond kGrowthMax times its size is refused.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace weir {

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerSpec> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  // Rewrites *text in place. REQUIRES: valid UTF-8, which it stays. ERRORS: kInvalidArgument (grows too far, or
  // a regex reaches its limits).
  Status apply(std::string* text) const;

 private:
  std::vector<NormalizerSpec> steps_;
};

// The four Unicode normalisation forms.
enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normalize_unicode(NormalForm form, std::string_view text);

// Replaces every match of `regex`. ERRORS: as Regex::find_all, and kInvalidArgument beyond bytes_max.
Status replace_all(const Regex& regex, std::string_view with, size_t bytes_max, std::string* text);

}  // namespace weir
