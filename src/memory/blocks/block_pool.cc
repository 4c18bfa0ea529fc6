#include "memory/blocks/block_pool.h"

#include "base/check.h"

namespace weir {

BlockPool::BlockPool(const BlockPoolOptions& options)
    : options_(options),
      tables_(static_cast<size_t>(options.sequences_max) * static_cast<size_t>(options.blocks_per_sequence_max)),
      counts_(static_cast<size_t>(options.sequences_max), 0) {
  WEIR_CHECK(options.blocks >= 1 && options.blocks < (int64_t{1} << 31) && options.block_tokens >= 1);
  free_.reserve(static_cast<size_t>(options.blocks));
  for (auto block = static_cast<int32_t>(options.blocks); block-- > 0;) free_.push_back(block);
}

uint64_t BlockPool::bytes(const BlockPoolOptions& options) {
  const auto rows = static_cast<uint64_t>(options.sequences_max);
  return sizeof(int32_t) * (static_cast<uint64_t>(options.blocks) +
                            rows * (static_cast<uint64_t>(options.blocks_per_sequence_max) + 1));
}

bool BlockPool::grow(int place, int64_t tokens) {
  const int64_t wanted = blocks_for(tokens);
  WEIR_CHECK(wanted <= options_.blocks_per_sequence_max);
  int32_t& count = counts_[static_cast<size_t>(place)];
  if (wanted - count > free_count()) return false;
  int32_t* row = &tables_[static_cast<size_t>(place * options_.blocks_per_sequence_max)];
  while (count < wanted) {
    row[count++] = free_.back();
    free_.pop_back();
  }
  return true;
}

void BlockPool::release(int place) {
  int32_t& count = counts_[static_cast<size_t>(place)];
  for (const int32_t block : table(place)) free_.push_back(block);
  count = 0;
  WEIR_CHECK(free_count() <= options_.blocks);
}

std::span<const int32_t> BlockPool::table(int place) const {
  const int32_t* row = &tables_[static_cast<size_t>(place * options_.blocks_per_sequence_max)];
  return {row, static_cast<size_t>(counts_[static_cast<size_t>(place)])};
}

void BlockPool::check_invariants() const {
  std::vector<char> seen(static_cast<size_t>(options_.blocks), 0);
  const auto mark = [&](int32_t block) {
    WEIR_CHECK(block >= 0 && block < options_.blocks && !seen[static_cast<size_t>(block)]);
    seen[static_cast<size_t>(block)] = 1;
  };
  int64_t held = 0;
  for (const int32_t block : free_) mark(block);
  for (int place = 0; place < options_.sequences_max; ++place) {
    for (const int32_t block : table(place)) mark(block);
    held += static_cast<int64_t>(table(place).size());
  }
  WEIR_CHECK(free_count() + held == options_.blocks);
}

}  // namespace weir
