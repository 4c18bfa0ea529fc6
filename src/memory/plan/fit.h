// The planner's other question: would N sequences of P + O tokens fit at once, with which cache ratio, and if not, what
// is missing or which setting would make room?
//
// Pure, like plan.h: the same PlanInput, no machine and no model. Any thread; values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/plan/plan.h"

namespace weir {

// `weir plan --for N --prompt P --output O`.
struct FitQuestion {
  int64_t sequences = 0;      // at once, >= 1
  int64_t prompt_tokens = 0;  // each, >= 1
  int64_t output_tokens = 0;  // each, >= 1
};

struct FitAnswer {
  FitQuestion question;
  bool fits = false;
  uint64_t blocks_needed = 0;    // for all of them, and at least for one sequence of the session's length
  int64_t sequences_as_set = 0;  // so many of them fit as the settings are now; 0 where there is no plan at all
  // Where it fits: the smallest ratio in hundredths that holds them, as flags, and what the plan takes then.
  double ratio = 0;
  std::string flags;  // "--cache-max-entry-count 0.83"
  uint64_t total_bytes = 0;
  // Where it does not: by how much the limit is too low, and the settings that would do, each with its ratio.
  uint64_t missing_bytes = 0;
  std::vector<Alternative> alternatives;
};

// The cache share of the input is not looked at but for sequences_as_set.
// ERRORS: kInvalidArgument in one line that names the flag to change: a number below 1, more tokens than the session,
// more sequences than the batch, or more blocks than there are numbers for.
Result<FitAnswer> fit_question(const PlanInput& input, const FitQuestion& question);

// "fits with ratio 0.83: ..." or "needs 11.20 GiB more, or --quant-policy 8 ..."; one line, ends with a newline.
std::string fit_text(const FitAnswer& answer);

// The object that plan_json() prints, with the answer as one more member: {...,"answer":{"fits":true,"sequences",
// "prompt_tokens","output_tokens","blocks_needed","sequences_as_set","ratio","flags","total_bytes","missing_bytes",
// "alternatives":[{"flags","total_bytes"}]}}. ratio and flags are null where it does not fit.
// plan: null where the settings as given have none.
std::string fit_json(const MemoryPlan* plan, const FitAnswer& answer);

}  // namespace weir
