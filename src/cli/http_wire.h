// http_wire: the bytes of one HTTP/1.1 answer -> head, body and server-sent events. Pure; knows no sockets.
//
// Thread: one. Incremental: bytes may be cut anywhere. The server on the other side is not trusted: head, lines and
// events are bounded, and what breaks a bound is a Status, not memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weir {

inline constexpr size_t kReplyHeadBytesMax = 64 << 10;
inline constexpr size_t kEventBytesMax = 1 << 20;

struct ReplyHead {
  int status = 0;                             // 100..599
  std::map<std::string, std::string> fields;  // names in lower case; of a repeated field the last counts

  std::string field(const std::string& name) const;  // "" when absent
};

// One answer. Interim answers (1xx) are skipped.
class ReplyParser {
 public:
  // body is called for each piece of the decoded body; chunk framing never reaches it.
  explicit ReplyParser(std::function<void(std::string_view)> body) : body_(std::move(body)) {}

  // ERRORS: kDataLoss when this is no HTTP/1.x or a bound is broken; the parser is then of no further use.
  Status feed(std::string_view bytes);
  // The connection ended. ERRORS: kDataLoss when the answer was not complete.
  Status end();

  bool head_done() const { return state_ != State::kHead; }
  bool done() const { return state_ == State::kDone; }
  const ReplyHead& head() const { return head_; }

 private:
  enum class State { kHead, kCounted, kUntilClose, kChunkSize, kChunkData, kChunkEnd, kTrailers, kDone };

  Status parse_head(std::string_view text);
  Status choose_body();
  // RETURNS: bytes taken from the front; 0 means that more input is needed.
  Result<size_t> step(std::string_view input);
  Result<size_t> step_head(std::string_view input);
  Result<size_t> step_line(std::string_view input);
  Status take_line(std::string_view line);
  size_t step_data(std::string_view input);

  std::function<void(std::string_view)> body_;
  State state_ = State::kHead;
  ReplyHead head_;
  std::string pending_;  // input that step() could not use yet
  uint64_t left_ = 0;    // bytes of body or chunk still to come
};

// Splits a text/event-stream body into the `data` of its events; comments and other fields are left out.
class EventSplitter {
 public:
  explicit EventSplitter(std::function<void(std::string_view data)> event) : event_(std::move(event)) {}
  // ERRORS: kDataLoss when one event is larger than 1 MiB.
  Status feed(std::string_view bytes);

 private:
  void take_line();

  std::function<void(std::string_view)> event_;
  std::string line_, data_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed next belongs to the carriage return before it
};

}  // namespace weir
