#include "api/answer.h"

#include <algorithm>

#include "api/json_out.h"

namespace weir::api {

AnswerRules::AnswerRules(const GenerateRequest& request, const Tokenizer* tokens, std::vector<int32_t> eos_ids)
    : tokenizer(tokens),
      endpoint(request.endpoint),
      skip_special_tokens(request.skip_special_tokens),
      with_logprobs(request.params.wants_logprobs()),
      min_tokens(request.params.min_tokens),
      stop(request.stop),
      stop_tokens(request.params.stop_token_ids) {
  if (!request.params.ignore_eos) stop_tokens.insert(stop_tokens.end(), eos_ids.begin(), eos_ids.end());
  std::sort(stop_tokens.begin(), stop_tokens.end());
}

bool AnswerRules::is_stop_token(int32_t token) const {
  return std::binary_search(stop_tokens.begin(), stop_tokens.end(), token);
}

Answer::Answer(const AnswerRules* rules, std::string_view echo)
    : rules_(rules),
      detokenizer_(rules->tokenizer, rules->skip_special_tokens),
      matcher_(&rules->stop),
      text_(echo),
      code_points_(static_cast<int64_t>(count_code_points(echo))) {}

// Text of the first min_tokens tokens passes unsearched, so that no stop string can end the answer before them.
void Answer::append(std::string_view piece) {
  if (rules_->with_logprobs) code_points_ += static_cast<int64_t>(count_code_points(piece));
  if (tokens_ <= rules_->min_tokens && rules_->min_tokens > 0) {
    text_.append(piece);
  } else if (matcher_.feed(piece, &text_)) {
    stopped_ = true;
  }
}

void Answer::note_logprob(const TokenEvent& event) {
  if (!rules_->with_logprobs) return;
  if (rules_->endpoint == Endpoint::kChat) {
    append_chat_logprob(*rules_->tokenizer, event, &logprobs_);
  } else {
    append_completion_logprob(*rules_->tokenizer, event, code_points_, &logprobs_);
  }
}

bool Answer::take(const TokenEvent& event) {
  if (stopped_ || ended_) return false;
  ++tokens_;
  if (rules_->is_stop_token(event.token)) {
    stopped_ = true;
    return false;  // the engine has seen it too and ends by itself
  }
  note_logprob(event);
  piece_.clear();
  detokenizer_.add(event.token, &piece_);
  append(piece_);
  return stopped_;
}

// After a stop token the text before it still counts; after a stop string nothing does.
bool Answer::end() {
  if (ended_) return false;
  ended_ = true;
  const bool by_string = stopped_ && matcher_.found();
  if (by_string) return false;
  piece_.clear();
  detokenizer_.finish(&piece_);
  append(piece_);
  if (matcher_.found()) return true;
  matcher_.flush(&text_);
  return false;
}

void Answer::clear() {
  text_.clear();
  logprobs_.clear();
}

}  // namespace weir::api
