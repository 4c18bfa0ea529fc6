// Methods of strings, lists and dicts, with Python's results. Pure apart from the value they are called on and the
// heap; the tables are constant. Methods that change a list or dict are marked, so that a render can refuse them.
#pragma once

#include <string_view>

#include "text/jinja/interp.h"

namespace weir::jinja {

struct Method {
  std::string_view name;
  BuiltinFn fn;
  bool mutates = false;
};

// RETURNS: nullptr when values of this kind have no such method.
const Method* find_method(const Value& of, std::string_view name);
const Method* find_string_method(std::string_view name);
const Method* find_list_method(std::string_view name, bool mutable_list);
const Method* find_dict_method(std::string_view name);

// What filters share with methods.
std::string replace_all(Heap& heap, std::string_view s, std::string_view from, std::string_view to, int64_t count);
std::vector<std::string_view> split_lines(std::string_view s, bool keep_ends);
Value format_string(Interp& in, const Value& format, const Args& args);  // str.format

}  // namespace weir::jinja
