// SamplingParams: how one request wants its tokens chosen. Validated by api/, read by sampling/ and schedule/.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace weir {

inline constexpr int kTopLogprobsMax = 20;  // OpenAI's bound for top_logprobs

struct LogitBias {
  int32_t token = 0;
  float bias = 0;  // added to the logit, [-100, 100]
};

// A value, immutable once submitted. Ranges are enforced at the door (api/), and CHECKed nowhere else.
struct SamplingParams {
  float temperature = 1.0f;         // [0, 100]; 0 is greedy
  float top_p = 1.0f;               // [0, 1]; 1 is off, 0 is greedy
  int32_t top_k = 0;                // 0 is off, else >= 1
  float min_p = 0.0f;               // [0, 1]; 0 is off; relative to the likeliest token
  float repetition_penalty = 1.0f;  // (0, 10]; over prompt and output, CTRL's rule; 1 is off
  float presence_penalty = 0.0f;    // [-2, 2]; over the output, OpenAI's rule
  float frequency_penalty = 0.0f;   // [-2, 2]; over the output, OpenAI's rule
  uint64_t seed = 0;                // one stream of random numbers per (seed, choice index); always set
  int32_t max_tokens = 1;           // >= 1; how many tokens may be produced at most, already capped by the session
  int32_t min_tokens = 0;           // eos and stop token ids are banned before this many
  bool ignore_eos = false;
  int32_t top_logprobs = -1;        // -1: no logprobs; 0..20: the chosen token's and so many alternatives
  std::vector<int32_t> stop_token_ids;
  std::vector<LogitBias> logit_bias;
  // What the output begins with: given, not chosen, so that only its logprobs are computed, one token a step like
  // any other. max_tokens counts them; the draws, min_tokens and OpenAI's penalties count from behind them.
  std::vector<int32_t> scored;

  bool wants_logprobs() const { return top_logprobs >= 0; }
  bool has_penalties() const {
    return repetition_penalty != 1.0f || presence_penalty != 0.0f || frequency_penalty != 0.0f;
  }
};

}  // namespace weir
