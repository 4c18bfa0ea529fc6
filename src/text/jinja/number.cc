#include "text/jinja/number.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/format.h"
#include "text/jinja/unicode.h"

namespace weir::jinja {
namespace {

constexpr const char* kOpNames[] = {"+", "-", "*", "/", "//", "%", "**"};

Value overflow(Heap& heap) {
  heap.fail("integer arithmetic left the 64-bit range");
  return {};
}

Value int_power(Heap& heap, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) {
      heap.fail("0 cannot be raised to a negative power");
      return {};
    }
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  bool base_overflowed = false;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && (base_overflowed || __builtin_mul_overflow(result, base, &result)))
      return overflow(heap);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) base_overflowed = true;
  }
  return Value::integer(result);
}

Value int_arith(Heap& heap, Arith op, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (op) {
    case Arith::kAdd:
      return __builtin_add_overflow(a, b, &r) ? overflow(heap) : Value::integer(r);
    case Arith::kSub:
      return __builtin_sub_overflow(a, b, &r) ? overflow(heap) : Value::integer(r);
    case Arith::kMul:
      return __builtin_mul_overflow(a, b, &r) ? overflow(heap) : Value::integer(r);
    case Arith::kPow:
      return int_power(heap, a, b);
    default:
      break;
  }
  if (b == 0) {
    heap.fail("division by zero");
    return {};
  }
  if (op == Arith::kDiv) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) return op == Arith::kMod ? Value::integer(0) : negate(heap, Value::integer(a));
  int64_t quotient = a / b;
  int64_t rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0)) {  // Python rounds down
    --quotient;
    rest += b;
  }
  return Value::integer(op == Arith::kMod ? rest : quotient);
}

double float_mod(double a, double b) {
  double m = std::fmod(a, b);
  if (m != 0) {
    if ((b < 0) != (m < 0)) m += b;
  } else {
    m = std::copysign(0.0, b);
  }
  return m;
}

double float_floor_div(double a, double b) {
  double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) div -= 1.0;
  if (div == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(div);
  return div - floor > 0.5 ? floor + 1.0 : floor;
}

Value float_arith(Heap& heap, Arith op, double a, double b) {
  switch (op) {
    case Arith::kAdd:
      return Value::real(a + b);
    case Arith::kSub:
      return Value::real(a - b);
    case Arith::kMul:
      return Value::real(a * b);
    case Arith::kPow: {
      if (a == 0 && b < 0) {
        heap.fail("0 cannot be raised to a negative power");
        return {};
      }
      const double r = std::pow(a, b);
      if (std::isnan(r) && !std::isnan(a) && !std::isnan(b)) heap.fail("complex numbers are not supported");
      if (std::isinf(r) && !std::isinf(a) && !std::isinf(b)) heap.fail("float result out of range");
      return Value::real(r);
    }
    default:
      break;
  }
  if (b == 0) {
    heap.fail("float division by zero");
    return {};
  }
  if (op == Arith::kDiv) return Value::real(a / b);
  return Value::real(op == Arith::kMod ? float_mod(a, b) : float_floor_div(a, b));
}

Value repeat_string(Heap& heap, const Value& s, int64_t count) {
  const uint64_t n = count < 0 ? 0 : static_cast<uint64_t>(count);
  const std::string_view text = s.text();
  if (n == 0 || text.empty()) return make_string(heap, "", s.str()->markup);
  if (n > heap.limits().heap_bytes || !heap.can_make(n * text.size())) {
    heap.fail("the template repeats a string " + number_text(n) + " times");
    return {};
  }
  AuthoredText out;
  out.text.reserve(n * text.size());
  for (uint64_t i = 0; i < n; ++i) append_string(s, out);
  return make_string(heap, std::move(out), s.str()->markup);
}

Value repeat_list(Heap& heap, Seq* s, int64_t count) {
  const uint64_t n = count < 0 ? 0 : static_cast<uint64_t>(count);
  Value out = make_seq(heap, s->flavour == SeqKind::kList ? SeqKind::kList : SeqKind::kTuple);
  if (n == 0 || s->items.empty()) return out;
  if (n > heap.limits().heap_bytes || !out.seq()->reserve(n * s->items.size())) {
    heap.fail("the template repeats a list " + number_text(n) + " times");
    return {};
  }
  for (uint64_t i = 0; i < n; ++i) {
    for (const Value& v : s->items) out.seq()->push(v);
  }
  return out;
}

Value add_strings(Heap& heap, const Value& a, const Value& b) {
  const bool markup = a.str()->markup || b.str()->markup;
  if (!heap.can_make(a.text().size() + b.text().size())) return {};
  AuthoredText out;
  for (const Value* v : {&a, &b}) {
    if (markup && !v->str()->markup) {
      append_string(mapped_from(*v, escape_html(v->text()), true), out);
    } else {
      append_string(*v, out);
    }
  }
  return make_string(heap, std::move(out), markup);
}

bool is_list(const Value& v) { return v.is(Kind::kSeq) && v.seq()->flavour == SeqKind::kList; }
bool is_tuple(const Value& v) { return v.is(Kind::kSeq) && v.seq()->tuple_like(); }

Value add_lists(Heap& heap, Seq* a, Seq* b) {
  Value out = make_seq(heap, a->flavour == SeqKind::kList ? SeqKind::kList : SeqKind::kTuple);
  if (!out.seq()->reserve(a->items.size() + b->items.size())) return {};
  for (const Value& v : a->items) out.seq()->push(v);
  for (const Value& v : b->items) out.seq()->push(v);
  return out;
}

}  // namespace

Value arithmetic(Heap& heap, Arith op, const Value& a, const Value& b) {
  if (a.is_int_like() && b.is_int_like()) return int_arith(heap, op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return float_arith(heap, op, a.real(), b.real());
  if (op == Arith::kMod && a.is(Kind::kString)) return percent_format(heap, a, b);
  for (const Value* v : {&a, &b}) {
    if (v->is_undefined()) {
      heap.fail(v->undefined_message());
      return {};
    }
    if (v->is(Kind::kBigInt)) {
      heap.fail("integers beyond 64 bits can be printed and compared, not computed with");
      return {};
    }
  }
  if (op == Arith::kAdd) {
    if (a.is(Kind::kString) && b.is(Kind::kString)) return add_strings(heap, a, b);
    if ((is_list(a) && is_list(b)) || (is_tuple(a) && is_tuple(b))) return add_lists(heap, a.seq(), b.seq());
  }
  if (op == Arith::kMul) {
    const Value& count = b.is_int_like() ? b : a;
    const Value& what = b.is_int_like() ? a : b;
    if (count.is_int_like() && what.is(Kind::kString)) return repeat_string(heap, what, count.integer());
    if (count.is_int_like() && (is_list(what) || is_tuple(what)))
      return repeat_list(heap, what.seq(), count.integer());
  }
  heap.fail(Text("cannot compute '") + Text(type_name(a)) + "' " + kOpNames[static_cast<int>(op)] + " '" +
            Text(type_name(b)) + "'");
  return {};
}

Value negate(Heap& heap, const Value& v) {
  if (v.is_int_like()) {
    return v.integer() == INT64_MIN ? overflow(heap) : Value::integer(-v.integer());
  }
  if (v.is(Kind::kFloat)) return Value::real(-v.real());
  heap.fail(v.is_undefined() ? v.undefined_message() : "bad operand for unary -: '" + Text(type_name(v)) + "'");
  return {};
}

Value plus(Heap& heap, const Value& v) {
  if (v.is_int_like()) return Value::integer(v.integer());
  if (v.is(Kind::kFloat) || v.is(Kind::kBigInt)) return v;
  heap.fail(v.is_undefined() ? v.undefined_message() : "bad operand for unary +: '" + Text(type_name(v)) + "'");
  return {};
}

Text float_repr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), d, std::chars_format::scientific).ptr;
  const std::string_view s(buffer, static_cast<size_t>(end - buffer));
  const size_t e = s.find('e');
  int exponent = 0;
  std::from_chars(s.data() + e + (s[e + 1] == '+' ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) return Text(s);
  const auto plain = std::to_chars(buffer, buffer + sizeof(buffer), d, std::chars_format::fixed).ptr;
  Text out(buffer, plain);
  if (out.find('.') == Text::npos) out += ".0";
  return out;
}

Text fixed(double d, int precision) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buffer[512];  // 309 digits, a point, 100 decimals and a sign
  const int n = std::snprintf(buffer, sizeof(buffer), "%.*f", precision, d);
  return Text(buffer, static_cast<size_t>(n));
}

bool parse_int(std::string_view text, int base, int64_t& out) {
  text = strip_right(strip_left(text));
  bool minus = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    minus = text[0] == '-';
    text.remove_prefix(1);
  }
  if (base != 0 && (base < 2 || base > 36)) return false;
  const auto prefixed = [&](char c) { return text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == c; };
  bool after_prefix = false;
  for (const auto& [c, b] : {std::pair{'x', 16}, std::pair{'o', 8}, std::pair{'b', 2}}) {
    if (!after_prefix && (base == 0 || base == b) && prefixed(c)) {
      base = b;
      text.remove_prefix(2);
      after_prefix = true;
    }
  }
  const bool literal_zero_rule = base == 0;
  if (base == 0) base = 10;
  int64_t value = 0;
  bool digit_before = after_prefix;
  if (text.empty()) return false;
  for (const char c : text) {
    if (c == '_') {
      if (!digit_before) return false;
      digit_before = false;
      continue;
    }
    int digit = 99;
    if (c >= '0' && c <= '9') digit = c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') digit = (c | 0x20) - 'a' + 10;
    if (digit >= base) return false;
    if (__builtin_mul_overflow(value, static_cast<int64_t>(base), &value)) return false;
    if (__builtin_sub_overflow(value, static_cast<int64_t>(digit), &value))
      return false;  // negative: has more room
    digit_before = true;
  }
  if (!digit_before || (literal_zero_rule && text[0] == '0' && value != 0)) return false;
  if (!minus && value == INT64_MIN) return false;
  out = minus ? value : -value;
  return true;
}

bool parse_float(std::string_view text, double& out) {
  text = strip_right(strip_left(text));
  if (text.size() > kFloatTextMax) return false;
  char clean_bytes[kFloatTextMax + 1];
  size_t clean_size = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool between = i > 0 && i + 1 < text.size() && is_decimal(static_cast<unsigned char>(text[i - 1])) &&
                         is_decimal(static_cast<unsigned char>(text[i + 1]));
    if (text[i] == '_' && between) continue;
    clean_bytes[clean_size++] = text[i];
  }
  clean_bytes[clean_size] = '\0';
  const std::string_view clean(clean_bytes, clean_size);
  const size_t sign = !clean.empty() && (clean[0] == '-' || clean[0] == '+') ? 1 : 0;
  const std::string_view body = clean.substr(sign);
  if (body.empty() || body[0] == '-' || body[0] == '+') return false;
  double value = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), value);
  if (end != body.data() + body.size() || error == std::errc::invalid_argument) return false;
  if (body.find('(') != body.npos) return false;  // "nan(0)" is C, not Python
  if (error == std::errc::result_out_of_range) value = std::strtod(clean_bytes + sign, nullptr);
  out = sign == 1 && clean[0] == '-' ? -value : value;
  return true;
}

}  // namespace weir::jinja
