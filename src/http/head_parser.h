// parse_head: one complete request head to a Head. The only user of Boost.Beast in this room: Beast splits the
// lines and tokens, request_check.h adds what Beast leaves open. Pure; any thread.
//
// Beast's body parser is not used: given a last chunk cut into packets it trips over an assertion of its own in
// builds that have assertions (Boost 1.81, "n >= 5"), so bodies are decoded by chunk_decoder.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/parser.h"

namespace weir::http {

struct Head {
  Request request;  // without body, peer and charge
  bool http10 = false;
  bool keep_alive = false;
  bool chunked = false;
  std::optional<uint64_t> content_length;  // <= ParseLimits::body_bytes_max
};

// REQUIRES: `bytes` ends with the empty line that ends the head, and has none before.
// RETURNS: a fault with status 0 when `head` was filled.
Fault parse_head(std::string_view bytes, const ParseLimits& limits, Head* head);

Fault malformed(std::string message);             // 400
Fault head_too_large();                           // 431
Fault body_too_large(const ParseLimits& limits);  // 413

}  // namespace weir::http
