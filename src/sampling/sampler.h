// The sampler: one row of logits in, one token out. Pure; the same inputs give the same token on every machine that
// computes the same logits, at any batch size and after a preemption, because the random number of a token depends
// on (seed, choice, position) alone.
//
// Order of the steps (vLLM's): logit bias and penalties, bans, temperature, min-p, top-k, top-p, draw.
// Log-probabilities are of the raw logits, before all of these.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "message/events.h"
#include "message/sampling_params.h"

namespace weir {

// Working memory of one worker thread, sized once for a vocabulary; sample_row() never allocates.
class SamplerScratch {
 public:
  explicit SamplerScratch(int32_t vocab);
  static uint64_t bytes(int32_t vocab);  // for the plan

 private:
  friend class RowSampler;
  struct Candidate {
    float logit;
    int32_t id;
  };
  std::vector<Candidate> candidates_;  // [vocab]
  std::vector<float> raw_;             // [vocab] the row before bias and penalties; filled only for logprobs
  std::vector<uint32_t> seen_epoch_;   // [vocab] the row in which this id was last seen
  std::vector<int32_t> output_count_;  // [vocab] valid where seen_epoch_ is this row's
  uint32_t epoch_ = 0;
};

struct SampleRow {
  std::span<float> logits;          // [vocab] f32; overwritten
  const SamplingParams* params;
  std::span<const int32_t> prompt;  // for the repetition penalty
  std::span<const int32_t> output;  // tokens produced so far; its size is the position of this draw
  std::span<const int32_t> eos_ids; // banned while fewer than min_tokens are out
  int32_t choice_index = 0;
};

// RETURNS: false when the row holds no finite maximum (NaN or all -inf): the sequence ends with kError, alone.
[[nodiscard]] bool sample_row(const SampleRow& row, SamplerScratch* scratch, TokenEvent* out);

// Uniform in [0, 1) with 53 random bits, a pure function of its arguments (SplitMix64 finaliser, Steele et al.,
// OOPSLA 2014).
double uniform_draw(uint64_t seed, int32_t choice_index, uint64_t position);

}  // namespace weir
