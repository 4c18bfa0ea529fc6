// KvMemory: a KV cache of hashes, for the check mode. Each position holds a hash of the text up to it, so that a
// sequence that attends to anything but its own text is found, whoever computed it and wherever it was copied or
// moved.
//
// Owner: the World; one thread. Costs the context of every sequence in every step: for small worlds.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "schedule/step.h"
#include "sim/random.h"

namespace weir::sim {

class KvMemory {
 public:
  KvMemory(int32_t blocks_max, int block_tokens, int slots)
      : block_tokens_(block_tokens),
        cells_(static_cast<size_t>(blocks_max) * static_cast<size_t>(block_tokens)),
        written_in_(cells_.size()),
        chains_(static_cast<size_t>(slots)) {}

  void forget(SlotIndex slot) { chains_[static_cast<size_t>(slot)].clear(); }  // a new occupant has another text

  void copy(const BlockCopies& copies) {
    for (const BlockCopy& one : copies) {
      std::copy_n(cell(one.from, 0), block_tokens_, cell(one.to, 0));
    }
  }

  // All writes of a step, then all reads, as the layers of a model do. RETURNS: what is wrong, or an empty text.
  std::string compute(const Step& step) {
    ++step_;
    for (const StepSequence& part : step.sequences) {
      const std::vector<uint64_t>& chain = chain_of(part);
      for (int64_t p = part.position_begin; p < part.position_begin + part.token_count; ++p) {
        uint64_t* const at = cell_at(part, p);
        *at = chain[static_cast<size_t>(p)];
        uint64_t& last = written_in_[static_cast<size_t>(at - cells_.data())];
        if (last == step_)
          return fmt::format("two sequences write KV position {} of slot {} in one step", p, part.slot);
        last = step_;
      }
    }
    for (const StepSequence& part : step.sequences) {
      const std::vector<uint64_t>& chain = chain_of(part);
      const int64_t end = part.position_begin + part.token_count;
      for (int64_t p = 0; p < end; ++p) {
        if (*cell_at(part, p) != chain[static_cast<size_t>(p)]) {
          return fmt::format("slot {} attends to another text at position {} of {}", part.slot, p, end);
        }
      }
    }
    return {};
  }

 private:
  uint64_t* cell(int32_t block, int64_t at) {
    return &cells_[static_cast<size_t>(block) * static_cast<size_t>(block_tokens_) + static_cast<size_t>(at)];
  }
  uint64_t* cell_at(const StepSequence& part, int64_t position) {
    return cell(part.blocks[static_cast<size_t>(position / block_tokens_)], position % block_tokens_);
  }
  // The text of a slot only grows, so its hashes are computed once; those of drafts anew each time.
  const std::vector<uint64_t>& chain_of(const StepSequence& part) {
    std::vector<uint64_t>& chain = chains_[static_cast<size_t>(part.slot)];
    const auto end = static_cast<size_t>(part.position_begin + part.token_count);
    const size_t prompt = part.prompt.size(), known = prompt + part.output.size();
    chain.resize(std::min(chain.size(), static_cast<size_t>(part.position_begin)));
    while (chain.size() < end) {
      const size_t at = chain.size();
      const int32_t token = at < prompt ? part.prompt[at] : at < known ? part.output[at - prompt] : part.drafts[at - known];
      chain.push_back(mix(chain.empty() ? 0 : chain.back(), static_cast<uint64_t>(token)) | 1);
    }
    return chain;
  }

  const int64_t block_tokens_;
  std::vector<uint64_t> cells_;                // [blocks_max, block_tokens]
  std::vector<uint64_t> written_in_;           // the step that wrote each last
  std::vector<std::vector<uint64_t>> chains_;  // [slots] of the text so far
  uint64_t step_ = 0;
};

}  // namespace weir::sim
