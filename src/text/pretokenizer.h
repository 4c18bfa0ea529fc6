// The pre-tokeniser: cuts normalised text into the pieces that BPE may not merge across.
//
// Owner: text room. Immutable after construction; any thread. Memory: 8 bytes a piece, and a copy of the text
// where a step rewrites it. Pieces are never empty.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer_spec.h"

namespace weir {

// Text and its pieces, in order. Reused from call to call by its owner to save allocations.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
  std::vector<Span> scratch;
  std::vector<Span> matches;
};

class Pretokenizer {
 public:
  Pretokenizer() = default;
  explicit Pretokenizer(std::vector<PretokenizerSpec> steps);

  // True when the pieces are raw bytes for a byte-level vocabulary: the last step is ByteLevel, and its mapping
  // to the byte alphabet is left to the model, which looks bytes up directly.
  bool yields_bytes() const { return yields_bytes_; }

  // Fills pieces->spans from pieces->text. at_start: the text begins where the whole input does, which decides
  // Metaspace's prepend_scheme "first". REQUIRES: valid UTF-8 below 2 GiB.
  // ERRORS: kInvalidArgument (a regex reaches its limits, or the text grows too long).
  Status split(bool at_start, Pieces* pieces) const;

 private:
  std::vector<PretokenizerSpec> steps_;
  bool yields_bytes_ = false;
};

}  // namespace weir
