// The forecast of how many tokens the pool will hold at most if nobody new starts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace weir {

struct ForecastEntry {
  int64_t held_tokens = 0;       // of its own blocks, which come back when it ends
  int64_t remaining_tokens = 0;  // still to come
};

// Past-Future (Gong et al., ASPLOS 2025): sorted by what remains, longest first, the pool is fullest at the moment in
// which one of them ends: peak = max over i of (sum of held 0..i + (i + 1) * remaining_i).
// MODIFIES: the order of `entries`. Each last block is half empty on average: block_tokens / 2 are added per entry.
inline int64_t forecast_peak_tokens(std::span<ForecastEntry> entries, int64_t block_tokens) {
  std::sort(entries.begin(), entries.end(), [](const ForecastEntry& a, const ForecastEntry& b) {
    return a.remaining_tokens > b.remaining_tokens;
  });
  int64_t held = 0, peak = 0, count = 0;
  for (const ForecastEntry& entry : entries) {
    held += entry.held_tokens;
    ++count;
    peak = std::max(peak, held + count * (entry.remaining_tokens + block_tokens / 2));
  }
  return peak;
}

}  // namespace weir
