#include "http/sse.h"

#include <algorithm>

namespace weir::http {

Headers sse_headers() { return {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}; }

void append_sse_event(std::string* out, std::string_view data) {
  for (;;) {
    const size_t end = std::min(data.find_first_of("\r\n"), data.size());
    *out += "data: ";
    *out += data.substr(0, end);
    *out += '\n';
    if (end == data.size()) break;
    data.remove_prefix(data.substr(end, 2) == "\r\n" ? end + 2 : end + 1);
  }
  *out += '\n';
}

}  // namespace weir::http
