// Speculation: drafts for running sequences: which, how many, and what became of them. By place.
//
// A draft is a guess of a sequence's next tokens. The step computes them behind its last token, and the executor
// samples row after row while the guesses are what it samples: so an answer is token for token what it is without
// drafts (docs/contract.md), and what is at stake is only time. Drafter makes the guesses, Acceptance says how many
// pay. Owner: the scheduler; engine thread. Limits: SpeculationOptions. Nothing allocates after construction;
// switched off it takes no memory at all.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "schedule/acceptance.h"
#include "schedule/drafter.h"

namespace weir {

// The drafts of a step are bounded by those of so many sequences at full length: with more of them a row costs
// nearly what a token costs (StepTimeModel::row_price), and each row of logits takes 4 bytes x the vocabulary of
// the plan.
inline constexpr int kDraftingSequences = 4;

struct SpeculationOptions {
  int tokens_max = 0;       // drafts of one sequence in a step; 0: no speculation
  int step_tokens_max = 0;  // drafts of all sequences in a step; >= tokens_max

  bool enabled() const { return tokens_max > 0; }
};

class Speculation {
 public:
  // Of text that is read before a step, all sequences together: 0.1 ms at most. A long prompt takes several steps.
  static constexpr int64_t kReadTokensPerStep = 4096;

  Speculation(SpeculationOptions options, int places, int64_t session_tokens,
              std::pmr::memory_resource* memory = std::pmr::get_default_resource());
  static uint64_t bytes(const SpeculationOptions& options, int places, int64_t session_tokens);

  bool enabled() const { return options_.enabled(); }
  const SpeculationOptions& options() const { return options_; }

  void begin(int place);  // a new sequence has the place
  // Before the drafts of a step. price: of a draft, in tokens.
  void begin_step(double price);
  // Writes drafts for what follows `text`, whose last output_tokens were produced. RETURNS: how many.
  int propose(int place, std::span<const int32_t> text, int32_t output_tokens, std::span<int32_t> out);
  void note(int place, int drafted, int accepted);
  // Sequences that were switched off since the last call, because their drafts did not pay.
  int take_switched_off();

 private:
  const SpeculationOptions options_;
  Drafter drafter_;
  std::pmr::vector<Acceptance> acceptance_;  // [places]
  double price_ = 1;
  int64_t read_left_ = 0;
  int switched_off_ = 0;
};

}  // namespace weir
