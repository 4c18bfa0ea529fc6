// Text of responses: heads, the http layer's own error answers, chunk frames. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/parser.h"
#include "http/server.h"

namespace weir::http {

const char* reason_phrase(int status);  // "Not Found"; "Status" for a code without one
bool status_has_body(int status);       // false for 204 and 304

struct ResponseHead {
  int status = 200;
  std::string_view content_type;         // empty: no such header
  std::optional<uint64_t> length_bytes;  // none: a stream
  bool chunked = false;
  bool close = false;
  bool http10 = false;
  std::string_view date;  // IMF-fixdate
};
// Drops headers with malformed names and those that frame the message; line breaks in values become spaces.
std::string format_head(const ResponseHead& head, const Headers& headers);
bool asks_to_close(const Headers& headers);  // a "Connection: close" among them

inline constexpr const char* kIdHeader = "x-request-id";

// A whole response with a JSON body in OpenAI's error shape; 429 and 503 carry Retry-After: 1.
struct FaultFrame {
  bool head_only = false;
  bool close = true;
  bool http10 = false;
  std::string_view date = {};
  std::string_view id = {};  // of the request; "": none
};
std::string format_fault(const Fault& fault, const FaultFrame& frame);

// MODIFIES: out; appends one chunk of the chunked coding. REQUIRES: bytes not empty (an empty chunk ends the body).
void append_chunk(std::string* out, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string format_date(int64_t unix_seconds);  // "Sun, 06 Nov 1994 08:49:37 GMT"

}  // namespace weir::http
