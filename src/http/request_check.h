// Checks on a request head that the wrapped parser does not make. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "http/parser.h"

namespace weir::http {

// Splits request.target into path and query; accepts "/path?query", "http://host/path?query" and, for OPTIONS, "*".
// RETURNS: false when the target is none of these or has bytes or escapes that RFC 3986 does not allow.
bool split_target(Request* request);

// RETURNS: a fault with status 0 when the head may be served. REQUIRES: method, target and headers are filled.
// MODIFIES: path and query.
Fault check_head(Request* request, bool http10);

}  // namespace weir::http
