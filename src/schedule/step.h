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
  int32_t token_count = 0;     // >= 1: one for a decode, up to the budget for a prefill chunk
  int32_t position_begin = 0;  // position of the first one; its KV covers [0, position_begin) already
  bool samples = false;        // its last token's logits are wanted
  const SamplingParams* params = nullptr;
  std::span<const int32_t> prompt;  // whole prompt
  std::span<const int32_t> output;  // produced so far
  std::span<const int32_t> blocks;  // KV block ids, position / block_tokens is the index
  int32_t choice_index = 0;
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
  TokenEvent token;
};

}  // namespace weir
