// The tests behind "is": {% if x is defined %}.
#include <cmath>

#include "text/jinja/compare.h"
#include "text/jinja/filters.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"

namespace weir::jinja {
namespace {

bool no_args(Interp& in, const char* name, const Args& args) { return Bound(in.heap, name, args, {}).ok(); }

bool is_any_int(const Value& v) { return v.is(Kind::kInt) || v.is(Kind::kBigInt); }

bool is_callable(const Value& v) {
  return v.is(Kind::kMacro) || v.is(Kind::kBuiltin) || v.is(Kind::kLoop) || v.is_undefined();
}

bool is_sequence(const Value& v) {
  return v.is(Kind::kString) || v.is(Kind::kDict) || v.is_undefined() || (v.is(Kind::kSeq) && v.seq()->indexable());
}

template <bool (*kIs)(const Value&)>
bool plain(Interp& in, const Value& v, const Args& args) {
  return no_args(in, "this test", args) && kIs(v);
}

bool defined(const Value& v) { return !v.is_undefined(); }
bool undefined(const Value& v) { return v.is_undefined(); }
bool none(const Value& v) { return v.is(Kind::kNone); }
bool boolean(const Value& v) { return v.is(Kind::kBool); }
bool is_true(const Value& v) { return v.is(Kind::kBool) && v.boolean(); }
bool is_false(const Value& v) { return v.is(Kind::kBool) && !v.boolean(); }
bool floating(const Value& v) { return v.is(Kind::kFloat); }
bool number(const Value& v) { return v.is_number() || v.is(Kind::kBigInt); }
bool string(const Value& v) { return v.is(Kind::kString); }
bool mapping(const Value& v) { return v.is(Kind::kDict); }
bool escaped(const Value& v) { return v.is(Kind::kString) && v.str()->markup; }

Value modulo(Interp& in, const Value& v, int64_t by) {
  return arithmetic(in.heap, Arith::kMod, v, Value::integer(by));
}

bool odd(Interp& in, const Value& v, const Args& args) {
  return no_args(in, "odd", args) && equals(in.heap, modulo(in, v, 2), Value::integer(1));
}
bool even(Interp& in, const Value& v, const Args& args) {
  return no_args(in, "even", args) && equals(in.heap, modulo(in, v, 2), Value::integer(0));
}
bool divisible(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "divisibleby", args, {"num"}, 1);
  return b.ok() && equals(in.heap, arithmetic(in.heap, Arith::kMod, v, *b.get(0)), Value::integer(0));
}

template <bool kUpper>
bool cased(Interp& in, const Value& v, const Args& args) {
  if (!no_args(in, "this test", args)) return false;
  const Value text = as_string(in.heap, v);
  return truthy(find_string_method(kUpper ? "isupper" : "islower")->fn(in, text, Args{}));
}

template <Compare kOp>
bool compared(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "this test", args, {"other"}, 1);
  return b.ok() && compare(in.heap, kOp, v, *b.get(0));
}

// Python's "is". Small numbers, none and booleans are one object each there, strings usually not: equal text
// counts.
bool same_as(Interp& in, const Value& v, const Args& args) {
  Bound b(in.heap, "sameas", args, {"other"}, 1);
  if (!b.ok()) return false;
  const Value& other = *b.get(0);
  if (v.kind() != other.kind()) return false;
  if (v.has_object() && !v.is(Kind::kString)) return v.object() == other.object();
  return !v.is_undefined() && equals(in.heap, v, other);
}

bool is_filter(Interp& in, const Value& v, const Args& args) {
  return no_args(in, "filter", args) && v.is(Kind::kString) && find_filter(v.text()) != nullptr;
}
bool is_test(Interp& in, const Value& v, const Args& args) {
  return no_args(in, "test", args) && v.is(Kind::kString) && find_test(v.text()) != nullptr;
}

struct TestEntry {
  std::string_view name;
  TestFn fn;
};

}  // namespace

TestFn find_test(std::string_view name) {
  static constexpr TestEntry kTests[] = {{"defined", plain<defined>},
                                         {"undefined", plain<undefined>},
                                         {"none", plain<none>},
                                         {"string", plain<string>},
                                         {"mapping", plain<mapping>},
                                         {"sequence", plain<is_sequence>},
                                         {"iterable", plain<is_iterable>},
                                         {"number", plain<number>},
                                         {"integer", plain<is_any_int>},
                                         {"float", plain<floating>},
                                         {"boolean", plain<boolean>},
                                         {"true", plain<is_true>},
                                         {"false", plain<is_false>},
                                         {"callable", plain<is_callable>},
                                         {"escaped", plain<escaped>},
                                         {"odd", odd},
                                         {"even", even},
                                         {"divisibleby", divisible},
                                         {"lower", cased<false>},
                                         {"upper", cased<true>},
                                         {"sameas", same_as},
                                         {"filter", is_filter},
                                         {"test", is_test},
                                         {"in", compared<Compare::kIn>},
                                         {"==", compared<Compare::kEq>},
                                         {"eq", compared<Compare::kEq>},
                                         {"equalto", compared<Compare::kEq>},
                                         {"!=", compared<Compare::kNe>},
                                         {"ne", compared<Compare::kNe>},
                                         {"<", compared<Compare::kLt>},
                                         {"lt", compared<Compare::kLt>},
                                         {"lessthan", compared<Compare::kLt>},
                                         {"<=", compared<Compare::kLe>},
                                         {"le", compared<Compare::kLe>},
                                         {">", compared<Compare::kGt>},
                                         {"gt", compared<Compare::kGt>},
                                         {"greaterthan", compared<Compare::kGt>},
                                         {">=", compared<Compare::kGe>},
                                         {"ge", compared<Compare::kGe>}};
  for (const TestEntry& t : kTests) {
    if (t.name == name) return t.fn;
  }
  return nullptr;
}

}  // namespace weir::jinja
