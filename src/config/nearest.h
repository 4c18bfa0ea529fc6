// nearest: "did you mean ...": finds the known word that a mistyped one was probably meant to be.
//
// Pure functions, any thread. Cost is the product of the two lengths per word; words longer than 64 bytes are never
// compared, so hostile input costs nothing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other; dashes and underscores
// count as the same. RETURNS: a number above both lengths when either word is longer than 64 bytes.
size_t edit_distance(std::string_view one, std::string_view other);

// RETURNS: the closest of `known`, or "" when none is close enough to be worth naming (a third of the letters).
std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

// RETURNS: "; did you mean X?" or "": the tail of an error message.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

}  // namespace weir
