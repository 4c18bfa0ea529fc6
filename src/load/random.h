// Random: the seeded source of everything that a load test draws. A value; one thread.
//
// The standard library's distributions differ between implementations, so these are written out: one seed gives one
// run everywhere. Independent streams come from (seed, purpose, index), so that request 7 is the same request
// whatever happened to the six before it and however many workers there are.
#pragma once

#include <cstdint>

namespace weir::load {

// What a stream is for; part of its start value.
enum class Purpose : uint64_t { kArrivals = 1, kRequest = 2, kWords = 3, kPrefix = 4, kTraceBlock = 5 };

class Random {
 public:
  Random(uint64_t seed, Purpose purpose, uint64_t index = 0);

  uint64_t next();  // SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators)
  double unit();    // (0, 1)
  uint64_t below(uint64_t count);  // [0, count); REQUIRES: count > 0; bias below count / 2^64
  double exponential();            // mean 1
  double normal();                 // mean 0, deviation 1 (Box, Muller 1958)
  double gamma(double shape);      // scale 1 (Marsaglia, Tsang 2000); REQUIRES: shape > 0

 private:
  uint64_t state_;
};

}  // namespace weir::load
