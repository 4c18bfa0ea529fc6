// str() and repr() of values, letter for letter as Python prints them. Bounded in depth, steps and bytes; a list
// that holds itself prints as [...]. One render, one thread.
#pragma once

#include <string_view>

#include "text/jinja/value.h"

namespace weir::jinja {

void append_str(Heap& heap, const Value& v, Text& out);
void append_value(Heap& heap, const Value& v,
                  AuthoredText& out);  // str(), keeping what the template wrote; numbers count as its own
void append_repr(Heap& heap, const Value& v, Text& out);
Text to_str(Heap& heap, const Value& v);
Text to_repr(Heap& heap, const Value& v);
void append_string_repr(std::string_view text, Text& out);  // 'it' or "it's"
Value as_string(Heap& heap, const Value& v);  // v itself when it is a string already (keeps its markup flag)

}  // namespace weir::jinja
