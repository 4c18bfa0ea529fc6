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

// What broke, as the reason() of the Status.
namespace wire_fault {
inline constexpr std::string_view kStatusLine = "bad_status_line", kHeadTooLarge = "head_too_large",
                                  kContentLength = "bad_content_length", kChunk = "bad_chunk",
                                  kEventTooLarge = "event_too_large", kCut = "closed_in_answer";
}  // namespace wire_fault

struct ReplyHead {
  int status = 0;                             // 100..599
  std::map<std::string, std::string> fields;  // names in lower case; of a repeated field the last counts

  std::string field(const std::string& name) const;  // "" when absent
};

// One answer. Interim answers (1xx) are skipped, at most 16 of them.
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
  // The connection can carry another request: HTTP/1.1, an end of its own, nothing after it, no "Connection:
  // close".
  bool reusable() const;
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
  int interim_count_ = 0;
  bool delimited_ = false, overrun_ = false;
};

// Splits a text/event-stream body into the `data` of its events; comments and other fields are left out.
class EventSplitter {
 public:
  explicit EventSplitter(std::function<void(std::string_view data)> event) : event_(std::move(event)) {}
  // ERRORS: kDataLoss when one event is larger than 1 MiB.
  Status feed(std::string_view bytes);
  // A line or an event has begun and not ended.
  bool partial() const { return !line_.empty() || has_data_; }

 private:
  void take_line(std::string_view line);

  std::function<void(std::string_view)> event_;
  std::string line_, data_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed next belongs to the carriage return before it
};

}  // namespace weir
