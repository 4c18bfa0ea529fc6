#include "text/jinja/filters.h"

#include "text/jinja/unicode.h"

namespace weir::jinja {

FilterFn find_filter(std::string_view name) {
  if (FilterFn fn = find_text_filter(name)) return fn;
  if (FilterFn fn = find_sequence_filter(name)) return fn;
  return find_select_filter(name);
}

AttrPath::AttrPath(Interp& in, const Value& path) : in_(in) {
  if (!path.is(Kind::kString)) {
    if (!path.is(Kind::kNone)) parts_.push_back(path);
    return;
  }
  std::string_view rest = path.text();
  while (in.heap.step()) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    const bool number =
        part.size() < 18 && part.find_first_not_of("0123456789") == part.npos && parse_int(part, 10, index);
    parts_.push_back(number ? Value::integer(index) : in.string(part));
    if (dot == rest.size()) break;
    rest.remove_prefix(dot + 1);
  }
}

Value AttrPath::get(const Value& of) const {
  Value v = of;
  for (const Value& part : parts_) {
    if (in_.heap.failed()) return {};
    v = in_.get_item(v, part);
    if (default_ != nullptr && v.is_undefined()) v = *default_;
  }
  return v;
}

Value ignore_case(Interp& in, const Value& v) {
  if (!v.is(Kind::kString)) return v;
  in.heap.step_bytes(v.text().size());
  return in.string(to_lower(v.text()));
}

}  // namespace weir::jinja
