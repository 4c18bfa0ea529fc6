// JSON to values and back. Reading is strict (RFC 8259, UTF-8 checked, duplicate keys: the last wins), keeps member
// order and is bounded by the heap and by kMaxJsonDepth; integers beyond 64 bits keep all their digits. Writing is
// Python's json.dumps, as transformers exposes it to templates (|tojson).
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/value.h"

namespace weir::jinja {

inline constexpr int kMaxJsonDepth = 150;

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<Text> indent;  // one level; absent: on one line
  Text item_separator = ", ";
  Text key_separator = ": ";
};

// ERRORS: fails the heap with "position N: ..." and returns undefined.
Value parse_json(Heap& heap, std::string_view text);
// ERRORS: fails the heap for what JSON cannot hold: undefined, macros, cycles.
Text dump_json(Heap& heap, const Value& v, const JsonStyle& style);

}  // namespace weir::jinja
