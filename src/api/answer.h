// Answer: the tokens of one sequence as text, with stop strings and logprobs applied. It knows neither the engine
// nor the socket.
//
// Owner: a Generation; io thread. Memory: what was not taken yet. A stop token ends the text and stands in none of
// text and logprobs, but counts as a completion token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/generate_request.h"
#include "api/logprobs.h"
#include "api/stop_strings.h"
#include "message/events.h"
#include "text/detokenizer.h"

namespace weir::api {

// What the answers of a request have in common.
struct AnswerRules {
  AnswerRules(const GenerateRequest& request, const Tokenizer* tokenizer, std::vector<int32_t> eos_ids);
  bool is_stop_token(int32_t token) const;

  const Tokenizer* tokenizer;
  const Endpoint endpoint;
  const bool skip_special_tokens;
  const bool with_logprobs;
  const int64_t min_tokens;
  const StopSet stop;
  std::vector<int32_t> stop_tokens;  // sorted; eos among them unless it is ignored
};

class Answer {
 public:
  // echo: text that stands before the answer; never searched for stop strings.
  Answer(const AnswerRules* rules, std::string_view echo);

  // RETURNS: true when this token completed a stop string; the engine need not go on. Later tokens are ignored.
  bool take(const TokenEvent& event);
  // No more tokens will come: gives out what was held back. RETURNS: true when that completed a stop string.
  bool end();

  bool stopped() const { return stopped_; }
  int64_t tokens() const { return tokens_; }  // taken, the one that ended it included
  // New since the last clear(); a caller that never clears has the whole answer.
  const std::string& text() const { return text_; }
  const LogprobText& logprobs() const { return logprobs_; }
  bool has_news() const { return !text_.empty() || !logprobs_.empty(); }
  void clear();

 private:
  void append(std::string_view piece);
  void note_logprob(const TokenEvent& event);

  const AnswerRules* rules_;
  Detokenizer detokenizer_;
  StopMatcher matcher_;
  std::string text_;
  LogprobText logprobs_;
  std::string piece_;  // scratch
  int64_t tokens_ = 0;
  int64_t code_points_ = 0;  // of everything detokenised, held back or not
  bool stopped_ = false;     // a stop string was found or a stop token came
  bool ended_ = false;
};

}  // namespace weir::api
