#include "sampling/prefix_cut.h"

#include <algorithm>
#include <bit>

namespace weir {
namespace {

constexpr int kDigitBits = 11;

// A number that is the larger the larger the float; -0 and 0 have the same.
uint32_t order_of(float x) {
  const auto bits = std::bit_cast<uint32_t>(x + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
float logit_of(uint32_t order) { return std::bit_cast<float>((order >> 31) != 0 ? order & 0x7fffffffu : ~order); }

// How many of equals are needed. REQUIRES: all of them are enough.
int64_t ties_for(double missing, double each) {
  auto ties = std::max<int64_t>(1, static_cast<int64_t>(missing / each));
  while (ties > 1 && static_cast<double>(ties - 1) * each >= missing) --ties;
  while (static_cast<double>(ties) * each < missing) ++ties;
  return ties;
}

}  // namespace

PrefixCut find_cut(std::span<const float> logits, std::span<const float> weights, double target,
                   CutScratch* scratch) {
  uint32_t top = 0, bottom = ~uint32_t{0};
  for (const float x : logits) {
    top = std::max(top, order_of(x));
    bottom = std::min(bottom, order_of(x));
  }
  double before = 0;   // mass of what is above the window
  uint32_t begin = 0;  // the window: distances from the top in [begin, begin + 2^bits)
  int bits = std::max(1, static_cast<int>(std::bit_width(top - bottom)));
  while (bits > 0) {
    const int shift = std::max(0, bits - kDigitBits);
    const uint64_t window = uint64_t{1} << bits;
    scratch->mass.fill(0);
    for (size_t i = 0; i < logits.size(); ++i) {
      const uint32_t at = top - order_of(logits[i]) - begin;  // below the window: wraps, and is beyond it
      if (at < window) scratch->mass[at >> shift] += weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    }
    const size_t buckets = static_cast<size_t>(window >> shift);
    size_t bucket = 0;
    while (bucket < buckets && before + scratch->mass[bucket] < target) before += scratch->mass[bucket++];
    if (bucket == buckets) return {logit_of(bottom), static_cast<int64_t>(logits.size())};
    begin += static_cast<uint32_t>(bucket << shift);
    bits = shift;
  }
  const float logit = logit_of(top - begin);
  double each = 1;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (logits[i] == logit) {
      each = static_cast<double>(weights[i]);
      break;
    }
  }
  return {logit, ties_for(target - before, each)};
}

int64_t keep_prefix(const PrefixCut& cut, std::span<float> logits, std::span<int32_t> ids,
                    std::span<float> weights) {
  size_t kept = 0;
  int64_t ties = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool equal = logits[i] == cut.logit;
    if (logits[i] < cut.logit || (equal && ties == cut.ties)) continue;
    ties += equal ? 1 : 0;
    logits[kept] = logits[i];
    ids[kept] = ids[i];
    if (!weights.empty()) weights[kept] = weights[i];
    ++kept;
  }
  return static_cast<int64_t>(kept);
}

}  // namespace weir
