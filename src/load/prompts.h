// Prompts: the text that is sent. Either lines of a file, or words made up from the seed.
//
// Made-up text is common English words, about one token each for the vocabularies of today; TokenScale corrects
// that for the server at hand (load/preflight.h measures it). Equal seeds make equal texts, so a shared prefix is
// the same bytes each time. Thread: any after reading.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "load/random.h"

namespace weir::load {

struct TokenScale {
  double tokens_per_word = 1;  // > 0
  double overhead_tokens = 0;  // what the chat template adds to every prompt; >= 0
};

// Appends `count` words, each with a space before it.
void append_words(Random random, int64_t count, std::string* text);
int64_t words_for(double tokens, const TokenScale& scale);  // >= 0

// A prompt per line; a JSON array as ShareGPT has it ([{"conversations":[{"from":"human","value":"..."}]}]: the
// first human turn; also "messages" with role and content); or JSONL with "prompt", "text", "question" or "turns".
// What has no text is left out. Limits: 256 MiB.
// ERRORS: kInvalidArgument (with the line, or when no prompt is left); those of read_small_file().
Result<std::vector<std::string>> parse_prompts(std::string_view text, const std::string& name);
Result<std::vector<std::string>> read_prompts(const std::string& path);

}  // namespace weir::load
