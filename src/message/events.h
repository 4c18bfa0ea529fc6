// What the engine tells the io threads about a sequence.
#pragma once

#include <array>
#include <cstdint>

#include "message/sampling_params.h"

namespace weir {

// Why a sequence ended. Every admitted sequence gets exactly one (promise 2).
enum class FinishReason : uint8_t {
  kNone,          // still going
  kStop,          // eos or a stop token id (stop strings are found by api/, which cancels with kStop of its own)
  kLength,        // max_tokens, the session length, or the pool was outgrown by the last running sequence
  kCancelled,     // the client left, or api/ needs no more tokens
  kQueueTimeout,  // waited longer than --queue-timeout
  kShutdown,      // the drain timeout ran out
  kError,         // this sequence's own failure in the executor (for example logits that are not numbers)
  kMemoryPressure,  // the machine ran short of memory and the newest gave way
  kDeadline,      // its total deadline passed, or could no longer be met before its prefill began
  kExpired,       // urgent work that waited in a queue that stands (CoDel), so that the rest is in time
  kStuck,         // the watchdog found that the step loop does not move while it is computed
};
inline constexpr int kFinishReasons = static_cast<int>(FinishReason::kStuck) + 1;
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "cancelled", ... for metrics

struct TopLogprob {
  int32_t token = 0;
  float logprob = 0;
};

// One produced token. logprobs are natural logarithms of the raw distribution (before temperature, penalties
// and filters), as OpenAI and vLLM report them; undefined unless the request asked.
struct TokenEvent {
  int32_t token = 0;
  float logprob = 0;
  int32_t top_count = 0;  // entries used in top
  std::array<TopLogprob, kTopLogprobsMax> top{};
};

}  // namespace weir
