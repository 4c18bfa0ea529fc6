// Answer: the tokens of one sequence as text, with stop strings and logprobs applied. It knows neither the engine
// nor the socket.
//
// Owner: a Generation; io thread. Memory: what was not cleared yet, charged to the request's account before it grows; a
// refused one ends the answer. A stop token ends the text and stands in none of text and logprobs, but counts as a
// completion token.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/generate_request.h"
#include "api/logprobs.h"
#include "api/stop_strings.h"
#include "memory/ledger/ledger.h"
#include "message/events.h"
#include "text/detokenizer.h"

namespace weir::api {

// What stands before an answer.
struct AnswerStart {
  std::string_view echo;  // text that the answer begins with; never searched for stop strings
  // The tokens whose text the answer goes on with, so that its leading blank stays; empty where it begins one.
  std::span<const int32_t> prompt;
  // Given where the prompt has logprobs: so many events are its tokens' behind prompt[0], which has none. They give
  // logprobs and, as the echo has it already, no text.
  std::optional<size_t> scores_to_come;
  bool alone = false;  // nothing is wanted behind the prompt: events of more tokens are ignored
};

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

enum class Took : uint8_t {
  kMore,
  kStopped,  // this completed a stop string; the engine need not go on, and later tokens are ignored
  kRefused,  // there were no host bytes for it, see refusal(); the answer is not complete and never will be
};

class Answer {
 public:
  Answer(const AnswerRules* rules, const std::shared_ptr<Account>& account);

  [[nodiscard]] Grant begin(const AnswerStart& start);  // once, before the first token
  Took take(const TokenEvent& event);
  // No more tokens will come: gives out what was held back.
  Took end();
  Grant refusal() const { return refusal_; }  // kYes unless something was refused

  bool stopped() const { return stopped_; }
  int64_t tokens() const { return tokens_; }  // taken, the one that ended it included, those of the prompt not
  bool scoring() const { return scores_left_ > 0; }  // the next token is one of the prompt
  bool started() const { return started_; }          // a token came, of the prompt or behind it
  // New since the last clear(); a caller that never clears has the whole answer.
  const std::string& text() const { return text_; }
  const LogprobText& logprobs() const { return logprobs_; }
  bool has_news() const { return !text_.empty() || !logprobs_.empty(); }
  void clear();  // keeps the buffers
  void drop();   // frees them and their charges; nothing is taken afterwards

 private:
  bool granted(Grant grant);
  bool append(std::string_view piece, bool hidden);
  bool note_logprob(const TokenEvent& event);
  void begin_scores(int32_t first);
  Took take_scored(const TokenEvent& event);
  bool room_to_hold(size_t token_bytes);

  const AnswerRules* rules_;
  Charge output_charge_, logprobs_charge_;
  Detokenizer detokenizer_;
  StopMatcher matcher_;
  std::string text_;
  LogprobText logprobs_;
  std::string piece_;  // scratch
  int64_t tokens_ = 0;
  size_t scores_left_ = 0;  // tokens of the prompt whose logprobs are to come
  bool alone_ = false;      // nothing comes behind the prompt
  bool started_ = false;
  TextOffset offset_;
  bool stopped_ = false;     // a stop string was found or a stop token came
  bool ended_ = false;
  uint64_t hold_bytes_ = 0;  // charged for what is held back and for scratch
  Grant refusal_ = Grant::kYes;
};

}  // namespace weir::api
