// The sampler: one row of logits in, one token out. Pure; the same inputs give the same token on every machine that
// computes the same logits, at any batch size and after a preemption, because the random number of a token depends
// on (seed, choice, position) alone.
//
// Order of the steps (vLLM's): logit bias, penalties, bans, temperature, min-p, top-k, top-p, draw.
// Log-probabilities are of the raw logits, before all of these. Greedy is a temperature or a top_p of 0.
//
// No value within the ranges of SamplingParams fails a row: logits stay finite after penalties, however small or
// large those are, and a banned token has the lowest finite logit, so that it is drawn only where no other is above
// that. Where the output begins with tokens that are given (SamplingParams::scored), those are "drawn", whatever
// the row says.
//
// What is drawn: a token weighs w(x) as row_kernels.h defines it, in exact multiples of a grid. min-p keeps the
// tokens with (x - largest) / temperature >= log(min_p). Of these top-k keeps the first k by logit, the lower id
// first among equals; of these top-p keeps the shortest beginning of that order whose weight is at least top_p of
// all of them. The token is the first, in order of ids, at which the sum of the weights exceeds u of their total, u
// = uniform_draw(). Sums are exact, so it does not matter how they are computed. Nothing is sorted: a row is read
// once to be greedy, and again where all of it is weighed; filters look at the few logits that may pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "message/events.h"
#include "message/sampling_params.h"
#include "sampling/prefix_cut.h"
#include "sampling/row_kernels.h"

namespace weir {

// Working memory of one worker thread, sized once for a vocabulary; sample_row() never allocates.
class SamplerScratch {
 public:
  // kernels: null is the best that this CPU has; all give the same tokens.
  explicit SamplerScratch(int32_t vocab, const rows::RowKernels* kernels = nullptr);
  static uint64_t bytes(int32_t vocab);  // for the plan

 private:
  friend class RowSampler;
  const rows::RowKernels* kernels_;
  std::vector<float> block_max_;          // [blocks] of the row as it is now
  std::vector<double> block_sums_;        // [blocks]
  std::vector<float> candidate_logits_;   // [vocab] candidates, in order of their ids
  std::vector<float> candidate_weights_;  // [vocab]
  std::vector<int32_t> candidate_ids_;    // [vocab]
  std::vector<float> raw_;                // [vocab] the row before it was changed; filled only for logprobs
  std::vector<uint32_t> seen_epoch_;      // [vocab] the row in which this id was last seen
  std::vector<int32_t> output_count_;     // [vocab] valid where seen_epoch_ is this row's
  CutScratch cut_;
  uint32_t epoch_ = 0;
};

struct SampleRow {
  std::span<float> logits;  // [vocab] f32; overwritten
  const SamplingParams* params;
  std::span<const int32_t> prompt;   // for the repetition penalty
  std::span<const int32_t> output;   // tokens produced so far; its size is the position of this draw
  std::span<const int32_t> eos_ids;  // banned while fewer than min_tokens are out
  int32_t choice_index = 0;
};

// RETURNS: false when the row as the model gave it holds no finite maximum (NaN, +inf or all -inf): the sequence
// ends with kError, alone.
[[nodiscard]] bool sample_row(const SampleRow& row, SamplerScratch* scratch, TokenEvent* out);

// Uniform in [0, 1) with 53 random bits, a pure function of its arguments (SplitMix64 finaliser, Steele et al.,
// OOPSLA 2014).
double uniform_draw(uint64_t seed, int32_t choice_index, uint64_t position);

}  // namespace weir
