// Expressions of the interpreter.
#include "text/jinja/filters.h"
#include "text/jinja/globals.h"
#include "text/jinja/interp.h"
#include "text/jinja/methods.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {

Value Interp::eval(const Expr& e) {
  const Level level(*this);
  if (!level.ok()) return {};
  return eval_inner(e);
}

Value Interp::eval_inner(const Expr& e) {
  switch (e.kind) {
    case ExprKind::kConst:
      return eval_constant(e.index);
    case ExprKind::kName:
      return eval_name(e.index);
    case ExprKind::kAttr: {
      const Value of = eval(*e.kids[0]);
      return heap.failed() ? Value() : get_attr(of, e.name, true);
    }
    case ExprKind::kItem: {
      const Value of = eval(*e.kids[0]);
      const Value key = eval(*e.kids[1]);
      return heap.failed() ? Value() : get_item(of, key);
    }
    case ExprKind::kSlice:
      return eval_slice(e);
    case ExprKind::kCall:
      return eval_call(e);
    case ExprKind::kFilter:
      return eval_filter(e);
    case ExprKind::kTest:
      return eval_test(e);
    case ExprKind::kNegate: {
      const Value v = eval(*e.kids[0]);
      return heap.failed() ? Value() : negate(heap, v);
    }
    case ExprKind::kPlus: {
      const Value v = eval(*e.kids[0]);
      return heap.failed() ? Value() : plus(heap, v);
    }
    case ExprKind::kNot:
      return Value::boolean(!truthy(eval(*e.kids[0])));
    case ExprKind::kArith: {
      const Value a = eval(*e.kids[0]);
      const Value b = eval(*e.kids[1]);
      return heap.failed() ? Value() : arithmetic(heap, e.arith, a, b);
    }
    case ExprKind::kCompare:
      return eval_compare(e);
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value a = eval(*e.kids[0]);
      if (heap.failed() || truthy(a) == (e.kind == ExprKind::kOr)) return a;
      return eval(*e.kids[1]);
    }
    case ExprKind::kConcat:
      return eval_concat(e);
    case ExprKind::kCond: {
      const bool chosen = truthy(eval(*e.kids[1]));
      if (heap.failed()) return {};
      if (chosen) return eval(*e.kids[0]);
      static constexpr std::string_view kNoElse = "the inline if-expression without an else";
      return e.kids[2] == nullptr ? Value::undefined(kNoElse) : eval(*e.kids[2]);
    }
    case ExprKind::kList:
    case ExprKind::kTuple:
      return eval_list(e);
    case ExprKind::kDict:
      return eval_dict(e);
  }
  return {};
}

Value Interp::eval_constant(uint32_t index) {
  Value& cached = constants_[index];
  if (!cached.is(Kind::kMissing)) return cached;
  const Constant& c = program_.constants[index];
  switch (c.kind) {
    case Kind::kBool:
      cached = Value::boolean(c.integer != 0);
      break;
    case Kind::kInt:
      cached = Value::integer(c.integer);
      break;
    case Kind::kFloat:
      cached = Value::real(c.real);
      break;
    case Kind::kString:
      cached = string(c.text);
      mark_authored(cached);
      break;
    default:
      cached = Value::none();
  }
  return cached;
}

Value Interp::eval_name(uint32_t symbol) {
  if (const Value* v = scope_->find(symbol)) return *v;
  const std::string_view name = program_.symbols[symbol];
  if (const BuiltinFn fn = find_global(name)) {
    return Value::object(Kind::kBuiltin, heap.make<Builtin>(fn, Value()));
  }
  return Value::undefined(name);
}

bool Interp::eval_args(const CallArgs& call, Args& out) {
  for (const ExprPtr& e : call.positional) out.positional.push_back(eval(*e));
  if (call.star != nullptr) {
    const Value list = eval(*call.star);
    if (heap.failed() || !iterate(heap, list, out.positional)) return false;
  }
  for (const auto& [name, e] : call.keyword) out.keyword.emplace_back(name, eval(*e));
  if (call.star_star == nullptr) return !heap.failed();
  const Value dict = eval(*call.star_star);
  if (!heap.failed() && !dict.is(Kind::kDict)) heap.fail("an argument after ** must be a dict");
  if (heap.failed()) return false;
  if (!heap.can_make(dict.dict()->items.size() * 64)) return false;
  for (const auto& [key, value] : dict.dict()->items) {
    if (!key.is(Kind::kString)) heap.fail("keywords must be strings");
    if (heap.failed() || !heap.step()) return false;
    for (const auto& given : call.keyword) {
      if (given.first == key.text()) heap.fail("got two values for '" + Text(given.first) + "'");
    }
    out.keyword.emplace_back(Text(key.text()), value);
  }
  return !heap.failed();
}

Value Interp::eval_call(const Expr& e) {
  const Expr& callee = *e.kids[0];
  Args args;
  if (callee.kind != ExprKind::kAttr) {
    const Value f = eval(callee);
    return heap.failed() || !eval_args(*e.call, args) ? Value() : call(f, args);
  }
  // obj.name(...): methods are called without making a bound value first.
  const Value of = eval(*callee.kids[0]);
  if (heap.failed()) return {};
  const Method* method = find_method(of, callee.name);
  if (method != nullptr && !(method->mutates && options.immutable)) {
    return eval_args(*e.call, args) ? method->fn(*this, of, args) : Value();
  }
  const Value f = get_attr(of, callee.name, true);
  return heap.failed() || !eval_args(*e.call, args) ? Value() : call(f, args);
}

Value Interp::eval_filter(const Expr& e) {
  const Value input = e.kids[0] == nullptr ? std::move(block_input_) : eval(*e.kids[0]);
  Args args;
  if (heap.failed() || !eval_args(*e.call, args)) return {};
  if (e.filter == nullptr) return fail("there is no filter named '" + Text(e.name) + "'");
  Value v = e.filter(*this, input, args);
  return heap.failed() ? Value() : v;
}

Value Interp::eval_test(const Expr& e) {
  const Value input = eval(*e.kids[0]);
  Args args;
  if (heap.failed() || !eval_args(*e.call, args)) return {};
  if (e.test == nullptr) return fail("there is no test named '" + Text(e.name) + "'");
  return Value::boolean(e.test(*this, input, args));
}

Value Interp::eval_compare(const Expr& e) {
  Value left = eval(*e.kids[0]);
  for (size_t i = 0; i < e.compares.size(); ++i) {
    Value right = eval(*e.kids[i + 1]);
    if (heap.failed()) return {};
    if (!compare(heap, e.compares[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(!heap.failed());
}

Value Interp::eval_concat(const Expr& e) {
  AuthoredText out;
  for (const ExprPtr& kid : e.kids) {
    const Value v = eval(*kid);
    if (heap.failed()) return {};
    append_value(heap, v, out);
  }
  return heap.failed() ? Value() : string(std::move(out));
}

Value Interp::eval_list(const Expr& e) {
  Value out = make_seq(heap, e.kind == ExprKind::kList ? SeqKind::kList : SeqKind::kTuple);
  out.seq()->items.reserve(e.kids.size());
  for (const ExprPtr& kid : e.kids) out.seq()->push(eval(*kid));
  return out;
}

Value Interp::eval_dict(const Expr& e) {
  Value out = make_dict(heap);
  for (size_t i = 0; i + 1 < e.kids.size(); i += 2) {
    Value key = eval(*e.kids[i]);
    Value value = eval(*e.kids[i + 1]);
    if (!heap.failed() && !hashable(key)) heap.fail("unhashable type: '" + Text(type_name(key)) + "'");
    if (heap.failed()) return {};
    out.dict()->set(std::move(key), std::move(value));
  }
  return out;
}

namespace {

struct Range {
  int64_t start, stop, step;
};

// Python's slice.indices(length).
bool slice_range(Heap& heap, const Value parts[3], int64_t length, Range& out) {
  for (int i = 0; i < 3; ++i) {
    if (!parts[i].is(Kind::kNone) && !parts[i].is_int_like()) {
      heap.fail("slice indices must be integers or none, not " + Text(type_name(parts[i])));
      return false;
    }
  }
  out.step = parts[2].is(Kind::kNone) ? 1 : parts[2].integer();
  if (out.step == 0) heap.fail("a slice step cannot be zero");
  const bool back = out.step < 0;
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (v.is(Kind::kNone)) return fallback;
    int64_t i = v.integer();
    if (i < 0)
      i = i < -length ? (back ? -1 : 0) : i + length;
    else if (i >= length)
      i = back ? length - 1 : length;
    return i;
  };
  out.start = bound(parts[0], back ? length - 1 : 0);
  out.stop = bound(parts[1], back ? -1 : length);
  return !heap.failed();
}

Value slice_string(Interp& in, const Value& of, const Range& r) {
  const std::string_view s = of.text();
  const bool markup = of.str()->markup;
  if (!in.heap.step_bytes(s.size())) return {};
  if (r.step == 1) {
    if (r.stop <= r.start) return make_string(in.heap, "", markup);
    const bool ascii = of.str()->ascii;
    const size_t from = ascii ? static_cast<size_t>(r.start) : byte_offset(s, r.start);
    const size_t count =
        ascii ? static_cast<size_t>(r.stop - r.start) : byte_offset(s.substr(from), r.stop - r.start);
    return part_of(of, s.substr(from, count));
  }
  Vec<uint32_t> chars;
  if (!in.heap.can_make(s.size() * sizeof(uint32_t))) return {};
  for (size_t i = 0; i < s.size(); i += char_bytes(s, i)) chars.push_back(char_at(s, i));
  Text out;
  for (int64_t i = r.start; r.step > 0 ? i < r.stop : i > r.stop;) {
    append_char(out, chars[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, r.step, &i)) break;
  }
  return make_string(in.heap, std::move(out), markup);
}

}  // namespace

Value Interp::eval_slice(const Expr& e) {
  const Value of = eval(*e.kids[0]);
  Value parts[3];
  for (size_t i = 0; i < 3; ++i) parts[i] = e.kids[i + 1] == nullptr ? Value::none() : eval(*e.kids[i + 1]);
  if (heap.failed()) return {};
  const bool list = of.is(Kind::kSeq) && of.seq()->indexable();
  if (!of.is(Kind::kString) && !list) {
    return fail(of.is_undefined() ? of.undefined_message() : "cannot slice '" + Text(type_name(of)) + "'");
  }
  Range r{};
  if (!slice_range(heap, parts, length_of(heap, of), r)) return {};
  if (of.is(Kind::kString)) return slice_string(*this, of, r);
  const Seq& from = *of.seq();
  Value out = make_seq(heap, from.flavour == SeqKind::kGroup ? SeqKind::kTuple : from.flavour);
  if (from.flavour == SeqKind::kRange) {
    const auto at = [&](int64_t i) {
      int64_t n = 0;
      const bool over = __builtin_mul_overflow(i, from.jump, &n) || __builtin_add_overflow(n, from.start, &n);
      return over ? from.stop : n;  // only what is printed; the items below are exact
    };
    out.seq()->start = at(r.start);
    out.seq()->stop = at(r.stop);
    if (__builtin_mul_overflow(from.jump, r.step, &out.seq()->jump)) out.seq()->jump = from.jump;
  }
  for (int64_t i = r.start; (r.step > 0 ? i < r.stop : i > r.stop) && heap.step();) {
    out.seq()->push(from.items[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, r.step, &i)) break;
  }
  return out;
}

}  // namespace weir::jinja
