// Step: what the scheduler asks the executor to compute in one turn, and what comes back.
//
// Owner: the engine thread. Every vector is reserved once for the largest step, so filling it never allocates.
// Tokens of one sequence are consecutive; sequences stand in the order in which they got their places.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "memory/blocks/block_pool.h"
#include "message/events.h"
#include "message/gateway.h"

namespace weir {

// One sequence's part of a step.
struct StepSequence {
  SlotIndex slot = 0;
  int32_t place = 0;           // running place: row of the block tables and of the histories
  int32_t token_begin = 0;     // first of its tokens in Step::tokens
  int32_t token_count = 0;     // >= 1: one for a decode and its drafts, up to the budget for a prefill chunk
  int32_t position_begin = 0;  // position of the first one; its KV covers [0, position_begin) already
  bool samples = false;        // the logits of its last known token are wanted, and of each draft
  const SamplingParams* params = nullptr;
  std::span<const int32_t> prompt;  // whole prompt
  std::span<const int32_t> output;  // produced so far
  // Guesses of what follows `output`, and right behind it in memory. They are its last tokens in the step, which
  // samples. KV of those that prove wrong is written again later, like any position that
  // is not yet reached.
  std::span<const int32_t> drafts;
  std::span<const int32_t> blocks;  // KV block ids, position / block_tokens is the index
  int32_t choice_index = 0;

  int32_t draft_count() const { return static_cast<int32_t>(drafts.size()); }
  int32_t known_count() const { return token_count - draft_count(); }
  // The token that first samples, as an index into Step::tokens; the drafts stand behind it.
  int32_t sample_begin() const { return token_begin + known_count() - 1; }
  // What will have been produced when so many drafts were right.
  std::span<const int32_t> output_with(int32_t accepted) const {
    return {output.data(), output.size() + static_cast<size_t>(accepted)};
  }
};

struct Step {
  explicit Step(std::pmr::memory_resource* memory = std::pmr::get_default_resource())
      : tokens(memory), positions(memory), rows(memory), sequences(memory), copies(memory) {}

  std::pmr::vector<int32_t> tokens;     // [tokens] ids
  std::pmr::vector<int32_t> positions;  // [tokens]
  std::pmr::vector<int32_t> rows;       // [tokens] index into sequences
  std::pmr::vector<StepSequence> sequences;
  BlockCopies copies;                   // made first, in order: blocks that were shared and are written in this step

  void reserve(int tokens_max, int sequences_max);
  static uint64_t bytes(int tokens_max, int sequences_max);  // what reserve() takes from an arena
  void clear();
  bool empty() const { return sequences.empty(); }
};

// One per sequence of the step, same order; token is defined where samples is set and ok.
struct StepResult {
  bool ok = true;  // false: this sequence alone failed and ends with kError
  int32_t accepted = 0;        // drafts that were what was sampled; so many tokens stand in `more`
  TokenEvent token;            // the first
  std::span<TokenEvent> more;  // [draft_count] lent by whoever runs the step: those after it
};

// Lends each result its room. events: at least as many as there are drafts in the step; they live as long as results.
void lend_room(const Step& step, std::span<StepResult> results, std::span<TokenEvent> events);

// Samples row after row of one sequence while its drafts are right. sample(row, event): fills the event from the row-th
// of its sampling rows, when so many drafts were right; false: that row failed. One that fails behind a right draft only
// ends the run: it is computed again as a row of its own and fails there, as it would have without drafts.
template <class Sample>
void sample_with_drafts(const StepSequence& part, const Sample& sample, StepResult* result) {
  result->accepted = 0;
  result->ok = sample(0, &result->token);
  const TokenEvent* last = &result->token;
  for (size_t i = 0; result->ok && i < part.drafts.size() && last->token == part.drafts[i]; ++i) {
    if (!sample(static_cast<int32_t>(i) + 1, &result->more[i])) return;
    last = &result->more[i];
    ++result->accepted;
  }
}

}  // namespace weir
