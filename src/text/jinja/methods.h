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

// The parts of the string table that live in files of their own (methods_split.cc, method_format.cc).
Value str_split(Interp& in, const Value& self, const Args& args);
Value str_rsplit(Interp& in, const Value& self, const Args& args);
Value str_splitlines(Interp& in, const Value& self, const Args& args);
Value str_partition(Interp& in, const Value& self, const Args& args);
Value str_rpartition(Interp& in, const Value& self, const Args& args);
Value format_string(Interp& in, const Value& format, const Args& args);  // str.format
// A string with the flavour (markup or not) of the one it was made from.
Value like(Interp& in, const Value& self, Text text);

}  // namespace weir::jinja
