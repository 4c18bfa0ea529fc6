// The two formatting languages of Python strings: '%s' % x and '{}'.format(x), and HTML escaping for |escape.
// Widths and precisions are bounded; errors fail the render.
#pragma once

#include <string_view>

#include "text/jinja/args.h"
#include "text/jinja/value.h"

namespace weir::jinja {

Value percent_format(Heap& heap, const Value& format, const Value& values);
Text escape_html(std::string_view s);
// Applies a format spec such as ">8.2f" to one value.
Text format_spec(Heap& heap, const Value& v, std::string_view spec);

inline constexpr int64_t kMaxFormatWidth = 100'000;
inline constexpr int kMaxFormatPrecision = 100;

// Appends what a format made of a value, keeping what the template wrote of it.
void append_shown(const Value& v, std::string_view shown, AuthoredText& out);

}  // namespace weir::jinja
