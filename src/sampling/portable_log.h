// The natural logarithm from the four operations alone: the same bits on every machine, which the C library does
// not promise (glibc chooses another body where the CPU fuses). Pure; any thread.
#pragma once

#include <bit>
#include <cstdint>

namespace weir {

// x = m * 2^e with m in [1/sqrt(2), sqrt(2)); log m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172, by its
// series to s^21, whose first left-out term is below 1e-19. REQUIRES: x > 0, finite, normal. Good to about 2e-16 of
// the larger of 1 and the result.
inline double portable_log(double x) {
  constexpr double kLn2 = 0x1.62e42fefa39efp-1, kSqrt2 = 0x1.6a09e667f3bcdp+0;
  const auto bits = std::bit_cast<uint64_t>(x);
  auto exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & ((uint64_t{1} << 52) - 1)) | (uint64_t{1023} << 52));
  if (m >= kSqrt2) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1), square = s * s;
  double series = 1.0 / 21;
  for (int k = 19; k >= 1; k -= 2) series = series * square + 1.0 / k;
  return static_cast<double>(exponent) * kLn2 + 2 * s * series;
}

}  // namespace weir
