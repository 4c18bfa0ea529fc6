// plain_json: the files of a model directory as Python writes them, made into JSON that a strict parser reads.
//
// Python's json module writes NaN, Infinity and -Infinity, and editors put a byte order mark in front. A number
// that is not finite in a field that weir never reads must not stop a start; in a field that is read it is still no
// number, for it becomes 1e999, which no reader takes. Pure; any thread; linear in the text.
#pragma once

#include <string>
#include <string_view>

namespace weir {

// RETURNS: `text` without a byte order mark, in *buffer where something had to be replaced. Lives as long as both.
std::string_view plain_json(std::string_view text, std::string* buffer);

}  // namespace weir
