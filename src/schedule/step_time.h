// StepTimeModel: how long a step takes, learnt from the steps that were run.
//
//   time = fixed + a * prefill tokens + b * prefill tokens x context + c * decoding sequences + d * their context
//
// Each term is a physical cost (launch and weights, matrix work, attention of prefill, one row each, attention of
// decode), so no coefficient is ever negative: a least-squares fit without that bound would give negative costs as
// soon as two features move together, and predict nonsense outside of what it has seen.
//
// Fit: recursive least squares in information form (Ljung and Soderstrom, "Theory and Practice of Recursive
// Identification", 1983), weighted by 1 / time^2, so that what counts is the relative error and a long prefill does
// not drown the decodes. A coefficient forgets only in steps in which its feature is present: hours of decodes do
// not erase what is known of prefill. The bound is kept by an active set over the five unknowns. An observation
// whose relative error is beyond kOutlierScale times the usual one is weighted down (Huber, 1964), so a stall moves
// little; when the machine really has become slower, what is usual becomes larger within half a window and it is
// learnt.
//
// What is fitted is the work of a step: the time in which the processors were its own, where the executor can tell;
// where it cannot, all of its time. How much longer steps take than that, smoothed, is the drag: predict() includes
// it. Neighbours only ever make a step slower, so what is promised to decodes is measured at the pace of the
// fastest tenth of the steps (predict_work(), the limits of prefill): noise must not widen its own bound.
//
// Owner: one thread (the engine's, or the simulator's). Pure: no clock. It never allocates; observe() costs well
// under a microsecond. Times that are not positive or above kTookMax (a clock that jumped), and shapes that are
// empty or negative, are not learnt and counted.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "base/clock.h"
#include "schedule/sample_window.h"

namespace weir {

// What a step computes. Context of a chunk: the tokens of its sequence before it.
struct StepShape {
  int64_t prefill_tokens = 0;
  int64_t prefill_context_tokens = 0;  // sum over the chunks of chunk x context
  int64_t decode_sequences = 0;  // rows: one each, and one per draft
  int64_t decode_context_tokens = 0;  // sum over the decodes of their context
};

// The coefficients, in microseconds per unit; >= 0. A measured profile is one of these.
struct StepCosts {
  double fixed = 0;
  double prefill_token = 0;
  double prefill_context_token = 0;  // per token of a chunk and token of its context
  double decode_sequence = 0;
  double decode_context_token = 0;
};

// How long a step took.
struct StepTook {
  Micros wall_us = 0;
  Micros work_us = 0;  // of it, the processors were the step's; wall_us where that is not known
};

class StepTimeModel {
 public:
  static constexpr Micros kTookMax = 3'600'000'000;  // an hour: no step, a suspended machine
  static constexpr int kConfidentAfter = 32;         // steps
  static constexpr double kOutlierScale = 4;         // times the median relative error
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kPrefillFloorTokens = 4;

  StepTimeModel() = default;
  // A prior that counts as much as `steps` observed steps. Costs that are negative or not finite count as 0.
  explicit StepTimeModel(const StepCosts& prior, double steps = 64) { load(prior, steps); }
  void load(const StepCosts& prior, double steps);

  void observe(const StepShape& shape, const StepTook& took);
  void observe(const StepShape& shape, Micros took) { observe(shape, {took, took}); }
  // Wall time. RETURNS: at least 0; 0 while nothing is known.
  Micros predict(const StepShape& shape) const;
  // Without the time that others have the processors, as far as that is known.
  Micros predict_work(const StepShape& shape) const;
  // The largest chunk of prefill that keeps the step's work within the budget: `decodes` with a chunk whose tokens
  // see `context` tokens each. It grows with the budget and shrinks with the decodes. So that prefill never starves
  // behind decodes that fill the budget alone, a chunk may always take what a quarter of the budget computes, and
  // never less than kPrefillFloorTokens. An estimate like any other, whether confident() or not: the one that
  // limits prefill is the PrefillGuard. RETURNS: kNoLimit while no cost of prefill is known or the budget is 0
  // (off).
  int64_t prefill_tokens_within(const StepShape& decodes, Micros budget, int64_t context = 0) const;
  // What so much work computes. RETURNS: at least kPrefillFloorTokens, and that while no cost of prefill is known.
  int64_t prefill_tokens_in(double work_us, int64_t context) const;

  // What one more row costs a step of these decodes, in tokens: the share of the step that such a row takes, times the
  // tokens that the step makes anyway. Where it is bound by memory a row is nearly free, where it is bound by arithmetic
  // it costs what a token costs, 1. While nothing is known a step's fixed part counts as kRowsHidden rows, which is where
  // the roofline of a CPU turns: a weight of b bytes is read in b / 32 ns and takes 2 operations a row, 190 (bf16) to 400
  // (int8) in a ns (the machine of docs/numbers.md: 32 GB/s), so 6 rows in either format. RETURNS: [kRowPriceMin, 1].
  double row_price(const StepShape& decodes) const;
  static constexpr double kRowsHidden = 6, kRowPriceMin = 0.05;
  // How many such rows the step may still have within the budget. RETURNS: 0 while steps are not known, kNoLimit
  // where the budget is 0 (off).
  int64_t rows_within(const StepShape& decodes, Micros budget) const;

  // Whether predict() may be acted upon: enough steps were seen (or a prior loaded) and half of them were predicted
  // to within a third.
  bool confident() const;
  StepCosts costs() const;
  // Of |predicted / took - 1| of work in the last steps; 0 while there are none.
  double error_quantile(double q) const { return errors_.quantile(q, 0); }
  // Took over predicted, smoothed over about 16 steps: 1 as expected, 2 twice as slow as what was learnt.
  double pace() const { return pace_; }
  // Wall time over work, smoothed over about 64 steps: 1 on a machine of our own.
  double drag() const { return drag_; }
  uint64_t observed() const { return observed_; }
  uint64_t ignored() const { return ignored_; }  // not learnt: absurd times or shapes

 private:
  static constexpr size_t kTerms = 5;
  static constexpr double kInitialInformation = 1e-4;  // of one step's: so little that the first steps decide alone
  using Vector = std::array<double, kTerms>;
  using Matrix = std::array<Vector, kTerms>;

  static bool features(const StepShape& shape, Vector* x);
  static bool solve(const Matrix& a, const Vector& b, const std::array<bool, kTerms>& held, Vector* delta);
  double dot(const Vector& x) const;
  double prefill_token_us(int64_t context) const;
  void note_error(double predicted, double took, double wall);
  double trust(double predicted, double took) const;
  void learn(const Vector& x, double took, double weight);

  Vector cost_{};         // microseconds per scaled unit, >= 0
  Matrix information_{};  // how sure each is, around cost_; 0 before the first step
  double prior_steps_ = kInitialInformation, prior_step_us_ = 0;
  SampleWindow errors_;
  SampleWindow paces_;      // took over fitted
  double fast_pace_ = 1;    // of the fastest tenth, (0, 1]; 1 while steps are about as even as a quiet machine's
  double usual_error_ = 1;  // median of errors_, looked up every kLookEvery steps
  double pace_ = 1, drag_ = 1;
  uint64_t observed_ = 0, ignored_ = 0;
  bool seen_prefill_ = false, has_prior_ = false;
};

}  // namespace weir
