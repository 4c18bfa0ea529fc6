#include "api/answer.h"

#include <algorithm>

#include "api/json_out.h"
#include "text/tokenizer.h"

namespace weir::api {
namespace {

// What a sequence may hold of text besides its answer, charged from the start: the detokeniser's state, the piece it
// gives out (up to three bytes for one that is no character), and the same piece in the matcher, each doubling.
constexpr uint64_t kHoldFactor = 12;
constexpr uint64_t kHoldBytes = 1024;

}  // namespace

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

Answer::Answer(const AnswerRules* rules, const std::shared_ptr<Account>& account)
    : rules_(rules),
      output_charge_(account, HostKind::kOutput),
      logprobs_charge_(account, HostKind::kLogprobs),
      detokenizer_(rules->tokenizer, rules->skip_special_tokens),
      matcher_(&rules->stop) {}

bool Answer::granted(Grant grant) {
  if (grant == Grant::kYes) return true;
  refusal_ = grant;
  ended_ = true;
  return false;
}

Grant Answer::begin(const AnswerStart& start) {
  const std::string_view echo = start.echo;
  const uint64_t hold = kHoldBytes + rules_->stop.matcher_bytes();
  if (!granted(output_charge_.try_grow(hold))) return refusal_;
  if (!granted(make_room(&text_, echo.size(), &output_charge_))) return refusal_;
  hold_bytes_ = kHoldBytes;
  text_ = echo;
  alone_ = start.alone;
  if (start.scores_to_come) {
    scores_left_ = *start.scores_to_come;
    begin_scores(start.prompt[0]);
    return refusal_;
  }
  detokenizer_.follow(start.prompt);
  offset_ = TextOffset(static_cast<int64_t>(count_code_points(echo)), detokenizer_.unfinished());
  return refusal_;
}

// Nothing stands before the first token that could have foretold it.
void Answer::begin_scores(int32_t first) {
  const TokenEvent event{.token = first};
  if (!granted(room_for_completion_logprob(*rules_->tokenizer, event, &logprobs_, &logprobs_charge_))) return;
  append_unscored_token(detokenizer_, first, &logprobs_);
  if (!detokenizer_.hides(first)) (void)offset_.add(detokenizer_.bytes_of(first));
  std::string in_the_echo;
  detokenizer_.add(first, &in_the_echo);
}

Took Answer::take_scored(const TokenEvent& event) {
  --scores_left_;
  if (!note_logprob(event) || !room_to_hold(rules_->tokenizer->id_to_token(event.token).size()))
    return Took::kRefused;
  piece_.clear();
  detokenizer_.add(event.token, &piece_);  // the echo has it
  return Took::kMore;
}

// A decoder may hold text back (text/decoder.h), some of them for long, so that is charged as it grows.
bool Answer::room_to_hold(size_t token_bytes) {
  const uint64_t need = kHoldFactor * (detokenizer_.held_bytes() + token_bytes);
  if (need <= hold_bytes_) return true;
  const uint64_t more = std::max(need, 2 * hold_bytes_) - hold_bytes_;
  if (!granted(output_charge_.try_grow(more))) return false;
  hold_bytes_ += more;
  return true;
}

// Text of the first min_tokens tokens passes unsearched, so that no stop string can end the answer before them.
// The room is for all that may come out, now or by a later flush.
bool Answer::append(std::string_view piece, bool hidden) {
  if (!granted(make_room(&text_, piece.size() + matcher_.held_bytes(), &output_charge_))) return false;
  if (tokens_ <= rules_->min_tokens && rules_->min_tokens > 0) {
    if (!hidden) text_.append(piece);
  } else if (hidden ? matcher_.feed_hidden(piece, &text_) : matcher_.feed(piece, &text_)) {
    stopped_ = true;
  }
  return true;
}

bool Answer::note_logprob(const TokenEvent& event) {
  if (!rules_->with_logprobs) return true;
  const Tokenizer& tokenizer = *rules_->tokenizer;
  if (rules_->endpoint == Endpoint::kChat) {
    if (!granted(room_for_chat_logprob(tokenizer, event, &logprobs_, &logprobs_charge_))) return false;
    append_chat_logprob(detokenizer_, event, &logprobs_);
  } else {
    if (!granted(room_for_completion_logprob(tokenizer, event, &logprobs_, &logprobs_charge_))) return false;
    const bool hidden = detokenizer_.hides(event.token);
    const int64_t offset = hidden ? offset_.now() : offset_.add(detokenizer_.bytes_of(event.token));
    append_completion_logprob(detokenizer_, event, offset, &logprobs_);
  }
  return true;
}

Took Answer::take(const TokenEvent& event) {
  if (stopped_ || ended_) return Took::kMore;
  started_ = true;
  if (scores_left_ > 0) return take_scored(event);
  if (alone_) return Took::kMore;
  ++tokens_;
  if (rules_->is_stop_token(event.token)) {
    stopped_ = true;
    return Took::kMore;  // the engine has seen it too and ends by itself
  }
  if (!note_logprob(event) || !room_to_hold(rules_->tokenizer->id_to_token(event.token).size())) return Took::kRefused;
  piece_.clear();
  const bool hidden = detokenizer_.hides(event.token);  // a stop string may name what the client does not see
  if (hidden) {
    piece_ = detokenizer_.bytes_of(event.token);
  } else {
    detokenizer_.add(event.token, &piece_);
  }
  if (!append(piece_, hidden)) return Took::kRefused;
  return stopped_ ? Took::kStopped : Took::kMore;
}

// After a stop token the text before it still counts; after a stop string nothing does.
Took Answer::end() {
  if (ended_) return refusal_ == Grant::kYes ? Took::kMore : Took::kRefused;
  ended_ = true;
  const bool by_string = stopped_ && matcher_.found();
  if (by_string) return Took::kMore;
  piece_.clear();
  detokenizer_.finish(&piece_);
  if (!append(piece_, false)) return Took::kRefused;
  if (matcher_.found()) return Took::kStopped;
  matcher_.flush(&text_);
  return Took::kMore;
}

void Answer::clear() {
  text_.clear();
  logprobs_.clear();
}

void Answer::drop() {
  ended_ = true;
  std::string().swap(text_);
  std::string().swap(piece_);
  logprobs_ = {};
  output_charge_.release();
  logprobs_charge_.release();
}

}  // namespace weir::api
