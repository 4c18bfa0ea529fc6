#include "text/jinja/globals.h"

#include <ctime>

#include "text/jinja/print.h"

namespace weir::jinja {
namespace {

// Items of a range, 0 or more; saturates.
uint64_t range_length(int64_t start, int64_t stop, int64_t step) {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const uint64_t span = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t width = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  return (span - 1) / width + 1;
}

Value make_range(Interp& in, const Value&, const Args& args) {
  const auto& a = args.positional;
  if (a.empty() || a.size() > 3 || !args.keyword.empty()) return in.fail("range takes one to three integers");
  for (const Value& v : a) {
    if (!v.is_int_like()) {
      return in.fail(v.is_undefined() ? v.undefined_message() : "range needs integers, not " + Text(type_name(v)));
    }
  }
  Value out = make_seq(in.heap, SeqKind::kRange);
  Seq& s = *out.seq();
  s.start = a.size() > 1 ? a[0].integer() : 0;
  s.stop = a.size() > 1 ? a[1].integer() : a[0].integer();
  s.jump = a.size() > 2 ? a[2].integer() : 1;
  if (s.jump == 0) return in.fail("range needs a step other than zero");
  const uint64_t length = range_length(s.start, s.stop, s.jump);
  if (length > static_cast<uint64_t>(kMaxRange)) {
    return in.fail("a range has at most " + number_text(kMaxRange) + " items");
  }
  if (!s.reserve(length)) return {};
  for (uint64_t i = 0; i < length; ++i) s.push(Value::integer(s.start + static_cast<int64_t>(i) * s.jump));
  return out;
}

// dict(pairs_or_mapping, key=value...), also what namespace() starts from.
bool fill_dict(Interp& in, const Args& args, Dict& out) {
  if (args.positional.size() > 1) in.heap.fail("dict takes at most one positional argument");
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is_undefined()) {
      // dict(undefined) is an empty dict in jinja2, since an undefined iterates as nothing.
    } else if (from.is(Kind::kDict)) {
      for (const auto& [key, value] : from.dict()->items) {
        if (!in.heap.step()) return false;
        out.set(key, value);
      }
    } else {
      Vec<Value> pairs;
      if (!iterate(in.heap, from, pairs)) return false;
      for (const Value& pair : pairs) {
        Vec<Value> two;
        if (!iterate(in.heap, pair, two)) return false;
        if (two.size() != 2) in.heap.fail("dict needs pairs");
        if (!in.heap.failed() && !hashable(two[0])) in.heap.fail("a dict key must be hashable");
        if (in.heap.failed()) return false;
        out.set(two[0], two[1]);
      }
    }
  }
  for (const auto& [key, value] : args.keyword) out.set(in.string(key), value);
  return !in.heap.failed();
}

Value make_dict_value(Interp& in, const Value&, const Args& args) {
  Value out = make_dict(in.heap);
  return fill_dict(in, args, *out.dict()) ? out : Value();
}

Value make_namespace(Interp& in, const Value&, const Args& args) {
  Value out = Value::object(Kind::kNamespace, in.heap.make<Dict>());
  return fill_dict(in, args, *out.dict()) ? out : Value();
}

Value make_cycler(Interp& in, const Value&, const Args& args) {
  if (args.positional.empty()) return in.fail("cycler needs at least one item");
  const Ref<Cycler> c = in.heap.make<Cycler>();
  c->items = args.positional;
  return Value::object(Kind::kCycler, c.get());
}

Value joiner_call(Interp& in, const Value& self, const Args&) {
  Seq& state = *self.seq();  // separator, used
  if (truthy(state.items[1])) return state.items[0];
  state.items[1] = Value::boolean(true);
  return in.string("");
}

Value make_joiner(Interp& in, const Value&, const Args& args) {
  Bound b(in.heap, "joiner", args, {"sep"});
  if (!b.ok()) return {};
  const Value state = make_pair(in.heap, b.get(0) != nullptr ? *b.get(0) : in.string(", "), Value::boolean(false));
  return Value::object(Kind::kBuiltin, in.heap.make<Builtin>(joiner_call, state));
}

Value raise_exception(Interp& in, const Value&, const Args& args) {
  Bound b(in.heap, "raise_exception", args, {"message"}, 1);
  if (!b.ok()) return {};
  const Text message = to_str(in.heap, *b.get(0));
  in.heap.fail_exact(message.substr(0, 2000));
  return {};
}

Value strftime_now(Interp& in, const Value&, const Args& args) {
  Bound b(in.heap, "strftime_now", args, {"format"}, 1);
  if (!b.ok()) return {};
  Text format(b.text(0, ""));
  if (in.heap.failed()) return {};
  if (format.size() > 1000 || format.find('\0') != format.npos)
    return in.fail("strftime_now got an unusable format");
  const std::time_t now =
      in.options.now_seconds ? static_cast<std::time_t>(*in.options.now_seconds) : std::time(nullptr);
  std::tm parts{};
  if (in.options.now_seconds) {
    gmtime_r(&now, &parts);
  } else {
    localtime_r(&now, &parts);
  }
  // Only single-letter directives: widths such as %99999d are an extension that could ask for any amount of text.
  for (size_t i = 0; i + 1 < format.size(); ++i) {
    if (format[i] != '%') continue;
    if (std::string_view("aAwdbBmyYHIpMSjUWcxXGuVZzDFTRrehntCgs%kl").find(format[i + 1]) ==
            std::string_view::npos &&
        !(format[i + 1] == '-' && i + 2 < format.size() &&
          std::string_view("dmHIMSjye").find(format[i + 2]) != std::string_view::npos)) {
      return in.fail("strftime_now does not know the directive %" + format.substr(i + 1, 1));
    }
    ++i;
  }
  Text out(format.size() * 64 + 64, '\0');
  format += ' ';  // so that an empty result can be told from one that does not fit
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &parts));
  if (!out.empty()) out.pop_back();
  return in.string(std::move(out));
}

}  // namespace

BuiltinFn find_global(std::string_view name) {
  static constexpr std::pair<std::string_view, BuiltinFn> kGlobals[] = {
      {"namespace", make_namespace}, {"raise_exception", raise_exception}, {"range", make_range},
      {"dict", make_dict_value},     {"strftime_now", strftime_now},       {"cycler", make_cycler},
      {"joiner", make_joiner}};
  for (const auto& [key, fn] : kGlobals) {
    if (key == name) return fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
