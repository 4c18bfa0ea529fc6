// str() and repr() of values, letter for letter as Python prints them. Bounded in depth, steps and bytes; a list
// that holds itself prints as [...]. One render, one thread.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja/value.h"

namespace weir::jinja {

void append_str(Heap& heap, const Value& v, std::string& out);
void append_repr(Heap& heap, const Value& v, std::string& out);
std::string to_str(Heap& heap, const Value& v);
std::string to_repr(Heap& heap, const Value& v);
void append_string_repr(std::string_view text, std::string& out);  // 'it' or "it's"
Value as_string(Heap& heap, const Value& v);  // v itself when it is a string already (keeps its markup flag)

}  // namespace weir::jinja
