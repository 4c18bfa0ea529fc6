// AnswerReader: the bytes of one answer -> when its tokens came and how it ended. No sockets, no clock of its own.
//
// Thread: one, its connection's. Bytes may be cut anywhere; nothing that a server sends can make it grow beyond the
// limits of http_wire.h and 4 MiB of body. After over() it takes nothing more.
//
// A token is counted per event that carries text until `usage` tells the true number; gaps are between such events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "load/histogram.h"
#include "load/http_wire.h"
#include "load/names.h"
#include "load/piece.h"

namespace weir::load {

inline constexpr size_t kAnswerBodyBytesMax = 4 << 20;

struct Answer {
  Ending ending = Ending::kInterrupted;
  Failure failure = Failure::kNone;
  int status = 0;                    // HTTP; 0 before a head came
  std::string reason, code;          // of an error object
  bool retry_after = false;          // the head told one
  Micros first_us = 0, last_us = 0;  // events with text; 0: none came
  int64_t events = 0;                // with text
  int64_t output_tokens = 0;         // from usage, else events
  int64_t prompt_tokens = -1;        // from usage; -1: not told
  bool reusable = false;             // the connection may carry another request
};

struct AnswerWish {
  bool stream = true;
  int64_t abort_after_events = 0;  // 0: never
  Histogram* gaps = nullptr;       // takes the time between events; may be null
};

class AnswerReader {
 public:
  AnswerReader(const AnswerWish& wish, PieceParser* pieces);
  AnswerReader(const AnswerReader&) = delete;
  AnswerReader& operator=(const AnswerReader&) = delete;

  void feed(std::string_view bytes, Micros now_us);
  void closed();               // the server ended the connection in order
  void fail(Failure failure);  // from outside: a reset, a timeout
  void abort();                // we leave
  void interrupt();            // the test is stopped

  bool over() const { return over_; }
  bool begun() const { return begun_; }  // a byte came
  const Answer& answer() const { return answer_; }

 private:
  void end(Ending ending, Failure failure = Failure::kNone);
  void take_body(std::string_view bytes);
  void take_event(std::string_view data);
  void take_piece(const Piece& piece);
  void count_text();
  void take_head();
  void finish();
  void finish_body();

  const AnswerWish wish_;
  PieceParser* const pieces_;
  Answer answer_;
  ReplyParser parser_;
  EventSplitter splitter_;
  Status body_status_;
  std::string body_;
  Micros now_us_ = 0;
  int64_t told_tokens_ = -1;
  bool begun_ = false, over_ = false, head_taken_ = false, is_stream_ = false, done_ = false, finished_ = false;
};

}  // namespace weir::load
