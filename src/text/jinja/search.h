// Searching in UTF-8 text by bytes: linear for any pattern, which Text's own rfind and find are not. Pure,
// any thread, except replace_all, which charges the heap.
#pragma once

#include <string_view>

#include "text/jinja/value.h"

namespace weir::jinja {

// RETURNS: the byte position of the first hit at or behind `from`, npos when there is none.
size_t find_bytes(std::string_view s, std::string_view what, size_t from);
size_t rfind_bytes(std::string_view s, std::string_view what);  // the last hit
// str.replace; count < 0: all. Fails the render when the result outgrows the heap limit.
AuthoredText replace_all(Heap& heap, const Value& string, std::string_view from, const Value& to, int64_t count);
Vec<std::string_view> split_lines(std::string_view s, bool keep_ends);  // str.splitlines

}  // namespace weir::jinja
