// PrefixCut: where the likeliest of some candidates end, found without sorting them.
//
// Candidates are ordered by logit, the highest first, and among equals by place, the first first. The search looks
// at the order-preserving bits of the logits, 11 at a time: at most three passes over the candidates, whatever they
// are. Owner: the sampler. Thread: one at a time per CutScratch. Nothing allocates.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace weir {

struct CutScratch {
  std::array<double, 2048> mass;  // by bucket
};

// The prefix: every candidate above `logit`, and the first `ties` that are equal to it.
struct PrefixCut {
  float logit;
  int64_t ties;
};

// The shortest prefix whose mass is at least `target`; all candidates where none has so much.
// logits: [n], n >= 1, not NaN. weights: [n] >= 0, their sums exact in double precision (row_kernels.h), equal
// logits weigh the same; empty: each weighs 1. target: > 0.
PrefixCut find_cut(std::span<const float> logits, std::span<const float> weights, double target,
                   CutScratch* scratch);

// Moves the prefix to the front, in order. ids: [n]; weights: [n] or empty. RETURNS: its length.
int64_t keep_prefix(const PrefixCut& cut, std::span<float> logits, std::span<int32_t> ids,
                    std::span<float> weights);

}  // namespace weir
