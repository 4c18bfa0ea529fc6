// Load: the requests of a run, in order of arrival, with what each client will do.
//
// Made by a trace (trace.h) or a generator (generate.h); read-only while a World runs. Owner: the caller of the
// World. Limits: kRequestsMax requests, kBlockIdsMax ids of shared prefixes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "sim/random.h"

namespace weir::sim {

inline constexpr int64_t kRequestsMax = 10'000'000;
inline constexpr size_t kBlockIdsMax = size_t{1} << 27;
inline constexpr int64_t kRequestTokensMax = int64_t{1} << 24;
inline constexpr int kSharedBlockTokens = 512;  // Mooncake's traces: one hash stands for so many tokens
inline constexpr int32_t kEosToken = 2;

enum class Leave : uint8_t {
  kNever,
  kWhileTokenising,  // before it is admitted
  kAtSubmit,         // in the same moment: the engine reads submit and cancel together
  kAfterTime,        // leave_after microseconds after its admission, wherever it is then
  kAfterTokens,      // having read leave_after tokens
  kAtFinish,         // its cancel crosses the finish
};

enum class Reader : uint8_t {
  kFast,   // reads whatever is there at once
  kSlow,   // a few tokens now and then
  kStops,  // reads some and then nothing, until the server cuts it off
};

struct SimRequest {
  Micros arrival_us = 0;
  int32_t prompt_tokens = 1;
  int32_t output_tokens = 1;  // the answer ends by itself after so many
  int32_t max_tokens = 0;     // 0: as many as the session allows
  int32_t choices = 1;        // n
  int32_t tenant = 0;
  int32_t class_index = -1;  // -1: the server's default
  Micros deadline_us = 0;  // after its arrival; 0: none
  // The text begins with that of block_ids[begin, begin + count), kSharedBlockTokens each; or, when there are none,
  // with shared_tokens of the text that shared_seed stands for. The rest is its own.
  uint32_t block_ids_begin = 0, block_ids_count = 0;
  uint64_t shared_seed = 0;
  int32_t shared_tokens = 0;
  Leave leave = Leave::kNever;
  int64_t leave_after = 0;
  Reader reader = Reader::kFast;
};

struct Load {
  std::vector<SimRequest> requests;
  std::vector<uint64_t> block_ids;

  Micros last_arrival_us() const { return requests.empty() ? 0 : requests.back().arrival_us; }
};

// Any id but the first three, which a tokeniser would keep for itself.
inline int32_t token_from(uint64_t text, int64_t position) {
  return static_cast<int32_t>(mix(text, static_cast<uint64_t>(position)) & 0x3fffffff) + 3;
}

// Fills `prompt` with the request's token ids; `own` names the text that nobody shares.
inline void write_prompt(const Load& load, const SimRequest& request, uint64_t own, std::vector<int32_t>* prompt) {
  prompt->resize(static_cast<size_t>(request.prompt_tokens));
  for (int32_t i = 0; i < request.prompt_tokens; ++i) {
    const auto block = static_cast<uint32_t>(i / kSharedBlockTokens);
    int32_t& token = (*prompt)[static_cast<size_t>(i)];
    if (block < request.block_ids_count) {
      token = token_from(mix(load.block_ids[request.block_ids_begin + block]), i % kSharedBlockTokens);
    } else {
      token = token_from(i < request.shared_tokens ? mix(request.shared_seed) : own, i);
    }
  }
}

}  // namespace weir::sim
