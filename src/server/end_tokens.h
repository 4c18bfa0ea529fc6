// EndTokens: which token ids end an answer, from every file of a model that says something about it.
//
// Files of one model often name different ends, or none; an answer that misses its own runs on into the next turn.
// So the union ends everything: generation_config.json, config.json, and the tokeniser's eos_token. The token by
// which the chat template ends a turn ends chats alone, for a text may hold it. A value; main thread, at start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/model_spec.h"
#include "text/tokenizer.h"

namespace weir {

struct EndTokens {
  std::vector<int32_t> everything;  // ids in [0, vocab), ascending
  std::vector<int32_t> chats;       // beside those; at most one
  // One line for the log where the sources disagree or where none says anything; else empty.
  std::string line;
  bool unknown = false;  // none says anything: answers end at their limits
};

// eos: the tokeniser's, as text; "" where it has none. turn_end: of the chat template.
EndTokens end_tokens_of(const ModelSpec& spec, const Tokenizer& tokenizer, std::string_view eos,
                        std::optional<int32_t> turn_end);

}  // namespace weir
