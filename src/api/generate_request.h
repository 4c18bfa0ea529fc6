// GenerateRequest: a chat or completion request after validation and before tokenising.
//
// A value; made on the io thread, moved to the text pool and back. Every field is within its range. Its bytes are
// those of the body, which http/ charges until the prompt has become tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "message/sampling_params.h"

namespace weir::api {

enum class Endpoint : uint8_t { kChat, kCompletion };

// One prompt of a completion request: text, or token ids in [0, vocab).
struct Prompt {
  std::string text;
  std::vector<int32_t> tokens;
  bool is_tokens = false;
};

struct GenerateRequest {
  Endpoint endpoint = Endpoint::kChat;
  int32_t tenant = 0;       // who asks
  int32_t class_index = 0;  // of its priority
  int n = 1;  // sequences per prompt, [1, 128]
  bool stream = false;
  bool include_usage = false;
  bool echo = false;  // completions: the prompt's text stands before the answer
  bool scores_prompt() const { return echo && params.wants_logprobs(); }  // the prompt's tokens have logprobs too
  bool add_special_tokens = false;
  bool skip_special_tokens = true;
  bool continues_message = false;  // chat: the answer goes on where the last message ends
  // Absent: chat takes what the model proposes or there is room for, completions 16. 0 only with echo: the prompt
  // alone.
  std::optional<int64_t> max_tokens;
  const char* max_tokens_field = "max_tokens";  // as the client called it, for errors
  SamplingParams params;              // max_tokens is set after tokenising
  bool seeded = false;                // params.seed is the client's
  std::vector<std::string> stop;
  uint64_t work_bytes = 0;      // planned for turning it into tokens (text_work.h)
  std::string context_json;     // chat: what the template sees
  std::vector<Prompt> prompts;  // completions
};

inline constexpr int kChoicesMax = 128;
inline constexpr int kPromptsMax = 2048;
inline constexpr int64_t kCompletionTokensDefault = 16;  // OpenAI's default for /v1/completions

}  // namespace weir::api
