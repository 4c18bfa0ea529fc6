// Server-sent events: framing alone (WHATWG HTML, section 9.2). The caller sets the headers. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace weir::http {

inline constexpr std::string_view kSseContentType = "text/event-stream";
inline constexpr std::string_view kSseHeartbeat = ": \n\n";  // a comment: keeps proxies and dead-peer checks awake

Headers sse_headers();  // Cache-Control: no-cache, X-Accel-Buffering: no

// MODIFIES: out; appends one event. Line breaks in data (LF, CR, CR LF) begin further data lines, as the format
// wants.
void append_sse_event(std::string* out, std::string_view data);

}  // namespace weir::http
