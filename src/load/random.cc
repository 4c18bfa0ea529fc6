#include "load/random.h"

#include <cmath>
#include <numbers>

namespace weir::load {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;  // 2^64 over the golden ratio, odd: SplitMix64's increment

uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
  return value ^ (value >> 31);
}

}  // namespace

Random::Random(uint64_t seed, Purpose purpose, uint64_t index)
    : state_(mixed(mixed(mixed(seed + kGolden) + static_cast<uint64_t>(purpose) * kGolden) + index * kGolden)) {}

uint64_t Random::next() { return mixed(state_ += kGolden); }

double Random::unit() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }

uint64_t Random::below(uint64_t count) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * count) >> 64);
}

double Random::exponential() { return -std::log(unit()); }

double Random::normal() {
  const double radius = std::sqrt(2 * exponential());
  return radius * std::cos(2 * std::numbers::pi * unit());
}

double Random::gamma(double shape) {
  if (shape < 1) {  // theirs needs a shape of at least 1; the paper's section 6 gives the step down
    const double up = gamma(shape + 1);
    return up * std::pow(unit(), 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal();
    const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
    if (v > 0 && std::log(unit()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace weir::load
