// Acceptance: how often the guesses for one sequence were right lately, and so how many are worth their price.
//
// Each guess that was looked at is a trial: those that were accepted, and the first that was not. q is the share
// that was right over about the last kWindow trials. The i-th guess of a row of guesses counts only where all
// before it were right, so it is worth q^i tokens; it is made while that is at least its price, in tokens
// (StepTimeModel::row_price). So drafts grow longer the better they are, and where even the first is not worth its
// price the sequence stops: for kPauseMin of its tokens at first, twice as long each time up to kPauseMax unless
// the last spell paid for itself. Then it tries again as if nothing were known, unless more than half was right (q = 1/2, from kPriorTrials). A
// value per running sequence; engine thread. Pure, no clock: rules count tokens.
#pragma once

#include <cstdint>

namespace weir {

class Acceptance {
 public:
  static constexpr float kWindow = 32;      // trials
  static constexpr float kPriorTrials = 4;  // so few that a first spell without any luck ends soon
  static constexpr float kPriorRate = 0.5f;
  static constexpr int32_t kPauseMin = 32, kPauseMax = 512;  // tokens

  // How many guesses to make now, when the sequence has so many tokens of output. price: (0, 1].
  // RETURNS: 0 to longest.
  int length(int32_t output_tokens, double price, int longest);
  // What became of them: `accepted` of `drafted` were right. price: what each had cost.
  void note(int drafted, int accepted, double price);

  float rate() const { return hits_ / trials_; }
  // True once after length() has switched the sequence off.
  bool take_switched_off();

 private:
  void forget();
  void switch_off(int32_t output_tokens);

  float hits_ = kPriorRate * kPriorTrials, trials_ = kPriorTrials;
  float paid_ = 0, won_ = 0;   // of this spell, in tokens
  int32_t pause_ = 0;          // the last one, in tokens
  int32_t paused_until_ = -1;  // output tokens; -1: not paused
  bool switched_off_ = false;
};

}  // namespace weir
