// Random: every number that the simulator draws, from one seed.
//
// The distributions are our own, because those of the standard library differ between implementations and a seed
// must replay anywhere. A value; one thread.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace weir::sim {

// The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): neighbouring inputs give unrelated outputs.
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
inline uint64_t mix(uint64_t a, uint64_t b) { return mix(mix(a) ^ b); }

// xoshiro256** (Blackman and Vigna, 2018).
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) word = seed = mix(seed);
  }

  uint64_t next() {
    const uint64_t result = rotate(state_[1] * 5, 7) * 9, shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // [0, 1)
  bool chance(double probability) { return uniform() < probability; }
  // [low, high]. REQUIRES: low <= high, less than 2^53 apart.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(uniform() * static_cast<double>(high - low + 1));
  }
  double exponential(double mean) { return -mean * std::log1p(-uniform()); }
  double normal() {  // Box and Muller, 1958
    const double radius = std::sqrt(-2 * std::log1p(-uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
  // Of this mean and coefficient of variation (standard deviation over mean).
  double lognormal(double mean, double variation) {
    const double variance = std::log1p(variation * variation);
    return mean * std::exp(std::sqrt(variance) * normal() - variance / 2);
  }
  // Marsaglia and Tsang, ACM TOMS 26 (2000). Variation 1 is exponential, more is burstier.
  double gamma(double mean, double variation) {
    const double shape = 1 / (variation * variation);
    double boost = 1, a = shape;
    if (a < 1) {
      boost = std::pow(1 - uniform(), 1 / a);
      a += 1;
    }
    const double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal(), root = 1 + c * x, v = root * root * root;
      if (v > 0 && std::log1p(-uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
        return mean / shape * boost * d * v;
    }
  }

 private:
  static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }
  std::array<uint64_t, 4> state_;
};

}  // namespace weir::sim
