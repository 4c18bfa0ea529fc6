// Calls and attributes of the interpreter.
#include "text/jinja/interp.h"
#include "text/jinja/methods.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {

Value Interp::call(const Value& callee, const Args& args) {
  const Level level(*this);
  if (!level.ok()) return {};
  if (callee.is(Kind::kMacro)) return call_macro(static_cast<Macro*>(callee.object()), args);
  if (callee.is(Kind::kBuiltin)) {
    const Builtin* f = static_cast<Builtin*>(callee.object());
    Value v = f->fn(*this, f->self, args);
    return heap.failed() ? Value() : v;
  }
  if (callee.is_undefined()) return fail(callee.undefined_message());
  return fail("'" + Text(type_name(callee)) + "' object is not callable");
}

Value Interp::call_macro(Macro* macro, const Args& args) {
  const Value keep = Value::object(Kind::kMacro, macro);  // a macro may be redefined while it runs
  const Ref<Scope> scope = heap.make<Scope>(macro->scope.get());
  const Ref<Scope> caller_scope = scope_;
  scope_ = scope;
  AuthoredText text;
  if (bind_macro(macro, args, scope.get())) {
    Capture capture(*this);
    exec(macro->def->body);
    text = capture.finish();
  }
  scope_ = caller_scope;
  return heap.failed() ? Value() : string(std::move(text));
}

bool Interp::bind_macro(Macro* macro, const Args& args, Scope* scope) {
  const MacroDef& def = *macro->def;
  const size_t given = std::min(args.positional.size(), def.params.size());
  for (size_t i = 0; i < given; ++i) scope->set(def.params[i], args.positional[i]);
  if (args.positional.size() > given && !def.takes_varargs) {
    heap.fail("macro '" + Text(def.name) + "' takes at most " + number_text(def.params.size()) + " arguments");
  }
  if (def.takes_varargs) {
    Value rest = make_seq(heap, SeqKind::kTuple);
    for (size_t i = given; i < args.positional.size(); ++i) rest.seq()->push(args.positional[i]);
    scope->set(program_.varargs, std::move(rest));
  }
  bind_extra_keywords(macro, args, scope);
  const size_t first_default = def.params.size() - def.defaults.size();
  for (size_t i = given; i < def.params.size() && !heap.failed(); ++i) {
    if (const Value* v = args.find(def.param_names[i])) {
      scope->set(def.params[i], *v);
    } else if (i >= first_default) {
      scope->set(def.params[i], eval(*def.defaults[i - first_default]));
    } else {
      scope->set(def.params[i], Value::undefined(def.param_names[i]));
    }
  }
  return !heap.failed();
}

void Interp::bind_extra_keywords(Macro* macro, const Args& args, Scope* scope) {
  const MacroDef& def = *macro->def;
  const size_t given = std::min(args.positional.size(), def.params.size());
  Value rest = make_dict(heap);
  const Value* caller = nullptr;
  for (const auto& [key, value] : args.keyword) {
    size_t param = 0;
    while (param < def.params.size() && std::string_view(def.param_names[param]) != key) ++param;
    if (param < def.params.size()) {
      if (param < given) heap.fail("macro '" + Text(def.name) + "' got two values for '" + key + "'");
    } else if (key == "caller" && def.takes_caller) {
      caller = &value;
    } else if (def.takes_kwargs && key != "caller") {
      rest.dict()->set(string(key), value);
    } else {
      heap.fail("macro '" + Text(def.name) + "' takes no keyword argument '" + key + "'");
    }
    if (!heap.step()) return;
  }
  if (def.takes_kwargs) scope->set(program_.kwargs, rest);
  if (!def.takes_caller) return;
  static constexpr std::string_view kCaller = "caller";
  for (std::string_view name : def.param_names) {
    if (name == kCaller) return;
  }
  scope->set(program_.caller, caller != nullptr ? *caller : Value::undefined(kCaller));
}

namespace {

Value loop_cycle(Interp& in, const Value& self, const Args& args) {
  if (args.positional.empty()) return in.fail("loop.cycle needs at least one value");
  const Loop* loop = static_cast<Loop*>(self.object());
  return args.positional[loop->index % args.positional.size()];
}

Value loop_changed(Interp& in, const Value& self, const Args& args) {
  Loop* loop = static_cast<Loop*>(self.object());
  Value now = make_seq(in.heap, SeqKind::kTuple);
  for (const Value& v : args.positional) now.seq()->push(v);
  const bool same = !loop->last_changed.is(Kind::kMissing) && equals(in.heap, loop->last_changed, now);
  if (!same) loop->last_changed = now;
  return Value::boolean(!same);
}

Value loop_attr(Interp& in, Loop* loop, std::string_view name) {
  const int64_t index = static_cast<int64_t>(loop->index);
  const int64_t length = static_cast<int64_t>(loop->items.size());
  if (name == "index") return Value::integer(index + 1);
  if (name == "index0") return Value::integer(index);
  if (name == "first") return Value::boolean(index == 0);
  if (name == "last") return Value::boolean(index + 1 >= length);
  if (name == "length") return Value::integer(length);
  if (name == "revindex") return Value::integer(length - index);
  if (name == "revindex0") return Value::integer(length - index - 1);
  if (name == "depth") return Value::integer(1);  // grows only in recursive loops, which are not supported
  if (name == "depth0") return Value::integer(0);
  static constexpr std::string_view kPrev = "previous item", kNext = "next item";
  if (name == "previtem") return index == 0 ? Value::undefined(kPrev) : loop->items[loop->index - 1];
  if (name == "nextitem") return index + 1 >= length ? Value::undefined(kNext) : loop->items[loop->index + 1];
  const Value self = Value::object(Kind::kLoop, loop);
  if (name == "cycle") return Value::object(Kind::kBuiltin, in.heap.make<Builtin>(loop_cycle, self));
  if (name == "changed") return Value::object(Kind::kBuiltin, in.heap.make<Builtin>(loop_changed, self));
  return Value::missing();
}

Value cycler_next(Interp&, const Value& self, const Args&) {
  Cycler* c = static_cast<Cycler*>(self.object());
  Value v = c->items[c->at];
  c->at = (c->at + 1) % c->items.size();
  return v;
}

Value cycler_reset(Interp&, const Value& self, const Args&) {
  static_cast<Cycler*>(self.object())->at = 0;
  return Value::none();
}

Value cycler_attr(Interp& in, Cycler* c, std::string_view name) {
  const Value self = Value::object(Kind::kCycler, c);
  if (name == "current") return c->items[c->at];
  if (name == "next") return Value::object(Kind::kBuiltin, in.heap.make<Builtin>(cycler_next, self));
  if (name == "reset") return Value::object(Kind::kBuiltin, in.heap.make<Builtin>(cycler_reset, self));
  return Value::missing();
}

Value macro_attr(Interp& in, const MacroDef& def, std::string_view name) {
  if (name == "name") return in.string(std::string_view(def.name));
  if (name == "catch_kwargs") return Value::boolean(def.takes_kwargs);
  if (name == "catch_varargs") return Value::boolean(def.takes_varargs);
  if (name == "caller") return Value::boolean(def.takes_caller);
  if (name != "arguments") return Value::missing();
  Value names = make_seq(in.heap, SeqKind::kTuple);
  for (const std::string& param : def.param_names) names.seq()->push(in.string(std::string_view(param)));
  return names;
}

}  // namespace

// Attributes that are neither methods nor dict keys. RETURNS: missing when there is none.
Value Interp::special_attr(const Value& of, std::string_view name) {
  if (of.is(Kind::kLoop)) return loop_attr(*this, static_cast<Loop*>(of.object()), name);
  if (of.is(Kind::kCycler)) return cycler_attr(*this, static_cast<Cycler*>(of.object()), name);
  if (of.is(Kind::kMacro)) return macro_attr(*this, *static_cast<Macro*>(of.object())->def, name);
  if (of.is(Kind::kNamespace)) {
    const Value* v = of.dict()->find(name);
    if (v != nullptr) return name[0] == '_' ? Value::undefined(heap.intern(name), of.kind(), true) : *v;
  }
  if (of.is(Kind::kSeq) && of.seq()->flavour == SeqKind::kGroup) {
    if (name == "grouper") return of.seq()->items[0];
    if (name == "list") return of.seq()->items[1];
  }
  if (of.is_int_like()) {
    if (name == "real" || name == "numerator") return Value::integer(of.integer());
    if (name == "imag") return Value::integer(0);
    if (name == "denominator") return Value::integer(1);
  }
  if (of.is(Kind::kFloat) && name == "real") return of;
  if (of.is(Kind::kFloat) && name == "imag") return Value::real(0);
  return Value::missing();
}

Value Interp::get_attr(const Value& of, std::string_view name, bool lasting) {
  if (of.is_undefined()) return fail(of.undefined_message());
  if (const Method* method = find_method(of, name)) {
    if (method->mutates && options.immutable) return Value::undefined(heap.intern(name), of.kind(), true);
    return Value::object(Kind::kBuiltin, heap.make<Builtin>(method->fn, of));
  }
  Value v = special_attr(of, name);
  if (!v.is(Kind::kMissing)) return v;
  if (of.is(Kind::kDict)) {
    if (const Value* found = of.dict()->find(name)) return *found;
  }
  return Value::undefined(lasting ? name : heap.intern(name), of.kind());
}

Value Interp::get_item(const Value& of, const Value& key) {
  if (of.is_undefined()) return fail(of.undefined_message());
  if (of.is(Kind::kDict) && hashable(key)) {
    if (const Value* found = of.dict()->find(key)) return *found;
  }
  const bool list = of.is(Kind::kSeq) && of.seq()->indexable();
  if (key.is_int_like() && (list || of.is(Kind::kString))) {
    const int64_t length = length_of(heap, of);
    int64_t i = key.integer();
    if (i < 0) i += length;
    if (i >= 0 && i < length) {
      if (list) return of.seq()->items[static_cast<size_t>(i)];
      const std::string_view s = of.text();
      if (!of.str()->ascii) heap.step_bytes(s.size());
      const size_t from = of.str()->ascii ? static_cast<size_t>(i) : byte_offset(s, i);
      return part_of(of, s.substr(from, char_bytes(s, from)));
    }
  }
  if (key.is(Kind::kString)) {
    const Text name(key.text());
    if (const Method* method = find_method(of, name)) {
      if (method->mutates && options.immutable) return Value::undefined(heap.intern(name), of.kind(), true);
      return Value::object(Kind::kBuiltin, heap.make<Builtin>(method->fn, of));
    }
    Value v = special_attr(of, name);
    if (!v.is(Kind::kMissing)) return v;
    return Value::undefined(heap.intern(name), of.kind());
  }
  static constexpr std::string_view kElement = "this element";
  return Value::undefined(kElement, of.kind());
}

}  // namespace weir::jinja
