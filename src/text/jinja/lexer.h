// Lexer: template source to tokens, with Jinja's white-space control (trim_blocks and lstrip_blocks on, the last
// newline dropped) already applied. Runs once per template at load; any thread. Never throws.
// Limits: kMaxSourceBytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace weir::jinja {

inline constexpr size_t kMaxSourceBytes = 256 << 10;  // the largest published templates are near 32 KiB

enum class Tok : uint8_t {
  kData,
  kVarBegin,
  kVarEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInt,
  kFloat,
  kOp,
  kEof
};

struct Token {
  Tok type = Tok::kEof;
  int line = 1;
  std::string text;  // data, name, unescaped string, digits, operator
};

// ERRORS: kInvalidArgument "line N: ..." for text that is no template, or is too large, or is not UTF-8.
Result<std::vector<Token>> lex(std::string_view source);

}  // namespace weir::jinja
