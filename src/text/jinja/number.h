// Python's arithmetic and its way to write and read numbers. Integers are 64 bits; an overflow is an error, never a
// wrong number. Errors fail the render and return undefined.
#pragma once

#include <string_view>

#include "text/jinja/value.h"

namespace weir::jinja {

enum class Arith : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };

Value arithmetic(Heap& heap, Arith op, const Value& a, const Value& b);
Value negate(Heap& heap, const Value& v);
Value plus(Heap& heap, const Value& v);

Text float_repr(double d);                                      // repr(float): "0.1", "1e+16", "inf"
Text fixed(double d, int precision);                            // '%.*f'; precision 0..100
bool parse_int(std::string_view text, int base, int64_t& out);  // int(str, base) without its big integers
bool parse_float(std::string_view text, double& out);           // float(str), up to kFloatTextMax characters

inline constexpr size_t kFloatTextMax = 4300;  // as Python bounds the text of an integer

}  // namespace weir::jinja
