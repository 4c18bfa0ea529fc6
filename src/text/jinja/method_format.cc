// '{} {name} {0[key].attr:>8}'.format(...).
#include "text/jinja/format.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"

namespace weir::jinja {
namespace {

class Formatter {
 public:
  Formatter(Interp& in, const Args& args, bool markup) : in_(in), args_(args), markup_(markup) {}

  // authored: of f.
  AuthoredText run(std::string_view f, const Authored& authored, int depth) {
    AuthoredText out;
    for (size_t at = 0; at < f.size() && in_.heap.step();) {
      const size_t brace = f.find_first_of("{}", at);
      out.append_part(f, authored, at, std::min(brace, f.size()));
      if (brace == f.npos) break;
      at = brace + 1;
      if (at < f.size() && f[at] == f[brace]) {
        out.append_part(f, authored, at, at + 1);
        ++at;
      } else if (f[brace] == '}') {
        in_.heap.fail("single '}' in a format string");
      } else {
        const size_t end = field_end(f, at);
        if (end == f.npos) {
          in_.heap.fail("expected '}' in a format string");
          break;
        }
        Value v;
        const Text shown = field(f.substr(at, end - at), depth, &v);
        append_shown(v, shown, out);
        at = end + 1;
      }
    }
    return out;
  }

 private:
  static size_t field_end(std::string_view f, size_t at) {
    int open = 1;
    for (; at < f.size(); ++at) {
      if (f[at] == '{') ++open;
      if (f[at] == '}' && --open == 0) return at;
      if (f[at] == '[') {  // a key may hold braces
        const size_t close = f.find(']', at);
        if (close == f.npos) return f.npos;
        at = close;
      }
    }
    return f.npos;
  }

  // RETURNS: the value as it is shown.
  Text field(std::string_view text, int depth, Value* value) {
    if (depth > 1) {
      in_.heap.fail("a format string is nested too deeply");
      return "";
    }
    size_t name_end = 0;
    while (name_end < text.size() && text[name_end] != ':' && text[name_end] != '!') {
      if (text[name_end] == '[') name_end = std::min(text.find(']', name_end), text.size() - 1);
      ++name_end;
    }
    const std::string_view name = text.substr(0, name_end);
    std::string_view rest = text.substr(name_end);
    char conversion = 0;
    if (rest.size() > 1 && rest[0] == '!') {
      conversion = rest[1];
      rest.remove_prefix(2);
      if (conversion != 's' && conversion != 'r') in_.heap.fail("a format conversion is !s or !r");
    } else if (!rest.empty() && rest[0] == '!') {
      in_.heap.fail("a format conversion is missing");
    }
    if (!rest.empty() && rest[0] != ':') in_.heap.fail("expected ':' in a format field");
    Value& v = *value = lookup(name);
    if (in_.heap.failed()) return "";
    const Text spec = rest.empty() ? "" : run(rest.substr(1), Authored(), depth + 1).text;
    if (conversion == 'r') v = make_string(in_.heap, to_repr(in_.heap, v));
    if (conversion == 's') v = as_string(in_.heap, v);
    if (in_.heap.failed()) return "";
    const bool safe = v.is(Kind::kString) && v.str()->markup;
    Text out = format_spec(in_.heap, v, spec);
    return markup_ && !safe ? escape_html(out) : out;
  }

  static bool is_number(std::string_view s) {
    return !s.empty() && s.find_first_not_of("0123456789") == s.npos && s.size() < 10;
  }

  static int64_t number_of(std::string_view digits) {
    int64_t number = 0;
    (void)parse_int(digits, 10, number);
    return number;
  }

  Value first(std::string_view name) {
    if (name.empty() || is_number(name)) {
      const bool automatic = name.empty();
      if (mode_ != 0 && mode_ != (automatic ? 1 : 2)) return in_.fail("a format string mixes {} and {0}");
      mode_ = automatic ? 1 : 2;
      const size_t i = automatic ? next_++ : static_cast<size_t>(number_of(name));
      if (i >= args_.positional.size()) return in_.fail("a format string asks for an argument that is not there");
      return args_.positional[i];
    }
    if (const Value* v = args_.find(name)) return *v;
    return in_.fail("a format string asks for '" + Text(name) + "', which is not given");
  }

  Value lookup(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    Value v = first(path.substr(0, at));
    while (at < path.size() && !in_.heap.failed()) {
      if (path[at] == '.') {
        const size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        v = in_.get_attr(v, Text(path.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      const size_t end = path[at] == '[' ? path.find(']', at) : path.npos;
      if (end == path.npos) return in_.fail("a format field has a bad subscript");
      const std::string_view key = path.substr(at + 1, end - at - 1);
      v = in_.get_item(v, is_number(key) ? Value::integer(number_of(key)) : in_.string(Text(key)));
      at = end + 1;
    }
    return v;
  }

  Interp& in_;
  const Args& args_;
  const bool markup_;
  size_t next_ = 0;
  int mode_ = 0;  // 1: {} was used, 2: {0} was used
};

}  // namespace

Value format_string(Interp& in, const Value& format, const Args& args) {
  AuthoredText out = Formatter(in, args, format.str()->markup).run(format.text(), format.str()->authored, 0);
  return in.heap.failed() ? Value() : make_string(in.heap, std::move(out), format.str()->markup);
}

}  // namespace weir::jinja
