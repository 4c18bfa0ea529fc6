#include "load/answer.h"

namespace weir::load {

AnswerReader::AnswerReader(const AnswerWish& wish, PieceParser* pieces)
    : wish_(wish),
      pieces_(pieces),
      parser_([this](std::string_view bytes) { take_body(bytes); }),
      splitter_([this](std::string_view data) { take_event(data); }) {}

void AnswerReader::end(Ending ending, Failure failure) {
  if (over_) return;
  over_ = true;
  answer_.ending = ending;
  answer_.failure = failure;
  answer_.output_tokens = told_tokens_ >= 0 ? told_tokens_ : answer_.events;
  answer_.reusable = (ending == Ending::kCompleted || ending == Ending::kRefused) && parser_.reusable();
  if (parser_.head_done()) answer_.status = parser_.head().status;
}

void AnswerReader::fail(Failure failure) { end(Ending::kFailed, failure); }
void AnswerReader::abort() { end(Ending::kAborted); }
void AnswerReader::interrupt() { end(Ending::kInterrupted); }

void AnswerReader::feed(std::string_view bytes, Micros now_us) {
  if (over_ || bytes.empty()) return;
  begun_ = true;
  now_us_ = now_us;
  const Status status = parser_.feed(bytes);
  if (!status.ok()) return fail(failure_of_wire(status.reason()));
  if (!body_status_.ok()) return fail(failure_of_wire(body_status_.reason()));
  if (parser_.done()) finish();
}

void AnswerReader::closed() {
  if (over_) return;
  if (!begun_) return fail(Failure::kClosedAtOnce);
  const Status status = parser_.end();
  if (!status.ok()) return fail(failure_of_wire(status.reason()));
  finish();
}

void AnswerReader::take_head() {
  head_taken_ = true;
  const ReplyHead& head = parser_.head();
  is_stream_ = head.status == 200 && head.field("content-type").rfind("text/event-stream", 0) == 0;
  answer_.retry_after = !head.field("retry-after").empty();
}

void AnswerReader::take_body(std::string_view bytes) {
  if (over_) return;
  if (!head_taken_) take_head();
  if (is_stream_ && wish_.stream) {
    if (body_status_.ok()) body_status_ = splitter_.feed(bytes);
  } else if (body_.size() + bytes.size() > kAnswerBodyBytesMax) {
    fail(Failure::kBodyTooLarge);
  } else {
    body_.append(bytes);
  }
}

void AnswerReader::take_event(std::string_view data) {
  if (over_ || done_) return;
  if (data == "[DONE]") {
    done_ = true;
    return;
  }
  const Piece piece = pieces_->parse(data);
  if (!piece.is_json) return fail(Failure::kBadJson);
  take_piece(piece);
}

void AnswerReader::take_piece(const Piece& piece) {
  if (piece.is_error) {
    answer_.reason = piece.reason;
    answer_.code = piece.code.empty() ? piece.type : piece.code;
    return fail(Failure::kErrorInStream);
  }
  finished_ = finished_ || piece.finished;
  if (piece.output_tokens >= 0) told_tokens_ = piece.output_tokens;
  if (piece.prompt_tokens >= 0) answer_.prompt_tokens = piece.prompt_tokens;
  if (piece.has_text) count_text();
}

void AnswerReader::count_text() {
  if (answer_.events == 0) {
    answer_.first_us = now_us_;
  } else if (wish_.gaps != nullptr) {
    wish_.gaps->record(now_us_ - answer_.last_us);
  }
  answer_.last_us = now_us_;
  ++answer_.events;
  if (answer_.events == wish_.abort_after_events) abort();
}

// The HTTP answer is complete.
void AnswerReader::finish() {
  if (over_) return;
  if (!head_taken_) take_head();
  if (parser_.head().status != 200 || !wish_.stream) return finish_body();
  if (!is_stream_) return fail(Failure::kNotAStream);
  if (splitter_.partial()) return fail(Failure::kHalfEvent);
  if (!finished_ && !done_) return fail(Failure::kUnfinished);
  end(Ending::kCompleted);
}

void AnswerReader::finish_body() {
  const Piece piece = pieces_->parse(body_);
  if (parser_.head().status != 200) {
    answer_.reason = piece.reason;
    answer_.code = piece.code.empty() ? piece.type : piece.code;
    return end(Ending::kRefused);
  }
  if (!piece.is_json) return fail(Failure::kBadJson);
  if (!piece.has_choice) return fail(Failure::kEmptyAnswer);
  if (piece.output_tokens >= 0) told_tokens_ = piece.output_tokens;
  answer_.prompt_tokens = piece.prompt_tokens;
  end(Ending::kCompleted);
}

}  // namespace weir::load
